"""Running conformance tests: bare-metal ELF files that end by saying whether they passed.

discover.py  which files are tests
results.py   what came of one, and of all
single.py    run one
trail.py     what a test that failed did last
workers.py   run many, in processes
junit.py     results as JUnit XML
"""
