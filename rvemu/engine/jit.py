"""LLVM: from textual IR to machine code in this process."""

import contextlib
from typing import Any

import llvmlite.binding as llvm


def target_machine() -> Any:
    """LLVM's description of the host CPU. Raises if LLVM knows no code for it.

    A new one each time: an execution engine takes its own over, and frees it in the end."""
    with contextlib.suppress(RuntimeError):  # newer versions initialise by themselves
        llvm.initialize()
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    target = llvm.Target.from_default_triple()
    return target.create_target_machine(
        cpu=llvm.get_host_cpu_name(),
        features=llvm.get_host_cpu_features().flatten(),
        opt=2,
        jit=True,
    )


def host_description() -> str:
    """The host's CPU and LLVM's version: machine code is good for these only."""
    features = llvm.get_host_cpu_features().flatten()
    triple = llvm.get_process_triple()
    return f"{triple} {llvm.get_host_cpu_name()} {features} llvm {llvm.llvm_version_info}"


def compile_module(text: str) -> bytes:
    """Optimise a module and generate an object file."""
    machine = target_machine()
    module = llvm.parse_assembly(text)
    module.triple = machine.triple
    module.data_layout = str(machine.target_data)
    module.verify()
    options = llvm.create_pipeline_tuning_options(speed_level=2)
    builder = llvm.create_pass_builder(machine, options)
    builder.getModulePassManager().run(module, builder)
    code: bytes = machine.emit_object(module)
    return code


class Library:
    """Machine code loaded into this process. Keep it as long as its functions are in use."""

    def __init__(self, code: bytes) -> None:
        empty = llvm.parse_assembly("")
        self._engine = llvm.create_mcjit_compiler(empty, target_machine())
        self._engine.add_object_file(llvm.ObjectFileRef.from_data(code))
        self._engine.finalize_object()

    def address(self, name: str) -> int:
        """The host address of a function; 0 if there is none."""
        return int(self._engine.get_function_address(name))
