"""Pickles made to do harm, written opcode by opcode."""

from __future__ import annotations


def text(value: bytes) -> bytes:
    """SHORT_BINUNICODE."""
    return b"\x8c" + bytes([len(value)]) + value


# The opcodes by which a pickle can come at a function, each written by hand.
STREAMS = {
    "global_of_protocol_0": b"cos\nsystem\n(S'touch mark'\ntR.",
    "inst": b"(S'touch mark'\nios\nsystem\n.",
    "obj": b"(cos\nsystem\nS'touch mark'\no.",
    "newobj_ex": b"\x80\x04" + text(b"posix") + text(b"system") + b"\x93)}\x92.",
    "stack_global_out_of_the_memo": (
        b"\x80\x04"
        + text(b"posix")
        + b"\x94"
        + text(b"system")
        + b"\x94h\x00h\x01\x93"
        + text(b"touch mark")
        + b"\x85R."
    ),
    "state_of_an_admitted_class": b"\x80\x02cnumpy\nndarray\nN}U\x05valueK\x01s\x86b.",
    "setstate_in_a_state": b"\x80\x02cnumpy\nndarray\n)\x81}U\x0c__setstate__cposix\nsystem\nsb.",
    "persistent_id": b"\x80\x02U\x05hello\x51.",
    "extension_code": b"\x80\x02\x82\x01.",
    "load_from_bytes": b"\x80\x02ctorch.storage\n_load_from_bytes\nU\x03abc\x85R.",
    "scalar_of_objects": (
        b"\x80\x02cnumpy.core.multiarray\nscalar\ncnumpy\ndtype\nU\x02O8K\x00K\x01\x87RU\x04abcd\x86R."
    ),
    "list_in_itself": b"\x80\x02]q\x00h\x00a.",
    "array_in_itself": (
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87Rq\x00"
        b"(K\x01K\x01\x85h\x00\x89U\x01xtb."
    ),
    "joblib_array_without_a_state": (
        b"\x80\x04" + text(b"joblib.numpy_pickle") + text(b"NumpyArrayWrapper") + b"\x93)\x81."
    ),
    "joblib_array_of_no_type": (
        b"\x80\x04"
        + text(b"joblib.numpy_pickle")
        + text(b"NumpyArrayWrapper")
        + b"\x93)\x81}("
        + text(b"dtype")
        + text(b"f4")
        + text(b"shape")
        + b"K\x02\x85ub"
        + b"\0" * 8
        + b"."
    ),
}
