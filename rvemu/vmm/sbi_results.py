"""What SBI calls, and hypercalls, return: an error, or SUCCESS, and a value."""

SUCCESS, FAILED, NOT_SUPPORTED, INVALID_PARAM, DENIED, INVALID_ADDRESS, ALREADY_AVAILABLE = range(
    0, -7, -1
)

Result = tuple[int, int]
