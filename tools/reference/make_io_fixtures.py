"""Writes the files that tests/io reads: tests/data/io/*.npy, *.npz, *.safetensors.

    python tools/reference/make_io_fixtures.py [FOLDER [GOLDEN]]

With GOLDEN, the folder of the flatness methods' reference outputs, also writes
flatness_listing.txt: names, types and shapes of all arrays, and the sum of the finite elements of
those in float64.

Needs NumPy. What each file must hold is written down in tests/io, not computed from the files.
The same version of NumPy writes the same bytes; the committed ones come from 2.4.6.
"""

import io
import json
import pathlib
import struct
import sys
import zipfile

import numpy as np
from numpy.lib import format as npy

FOLDER = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "tests/data/io")


def ramp(dtype):
    """0, 1, ... 5 as 2 x 3, the last one replaced by an extreme value of the type."""
    array = np.arange(6).astype(dtype).reshape(2, 3)
    kind = np.dtype(dtype).kind
    if kind in "iu":
        array[1, 2] = np.iinfo(dtype).max
        array[1, 1] = np.iinfo(dtype).min
    elif kind == "f":
        array[1, 2] = np.finfo(dtype).smallest_subnormal
        array[1, 1] = -np.inf
    elif kind == "c":
        array[1, 2] = 0.5 - 2j
    return array


def bytes_of(array, version=None):
    out = io.BytesIO()
    npy.write_array(out, array, version=version)
    return out.getvalue()


def save(name, content):
    (FOLDER / name).write_bytes(content)


def numpy_files():
    for kind in "b1 i1 i2 i4 i8 u1 u2 u4 u8 f2 f4 f8 c8 c16".split():
        array = ramp(kind)
        save(f"{kind}_le_c.npy", bytes_of(array.astype("<" + kind)))
        save(f"{kind}_be_f.npy", bytes_of(np.asfortranarray(array.astype(">" + kind))))
    cube = np.arange(24, dtype="<i4").reshape(2, 3, 4)
    save("cube_f.npy", bytes_of(np.asfortranarray(cube)))
    text = np.array([["a", "né", ""], ["日本語", "𝛼β", "ab c"]])
    save("text_le_c.npy", bytes_of(text.astype("<U4")))
    save("text_be_f.npy", bytes_of(np.asfortranarray(text.astype(">U4"))))
    for version in [(1, 0), (2, 0), (3, 0)]:
        save(f"version_{version[0]}.npy", bytes_of(ramp("<f8"), version))
    save("scalar.npy", bytes_of(np.array(2.5)))
    save("empty.npy", bytes_of(np.zeros((3, 0, 2), "<f4")))
    save("vector.npy", bytes_of(np.array([1.5], "<f8")))


def refused_files():
    save("refused_object.npy", _with_header("|O"))
    save("refused_bytes.npy", bytes_of(np.array([b"ab"])))
    save("refused_date.npy", bytes_of(np.array(["2026-11-23"], "M8[D]")))
    save("refused_span.npy", bytes_of(np.array([3], "m8[s]")))
    save("refused_struct.npy", bytes_of(np.array([(1, 2.0)], [("a", "i4"), ("b", "f8")])))
    save("refused_longdouble.npy", _with_header("<f16"))
    save("refused_void.npy", bytes_of(np.array([b"abcd"], "V4")))


def _with_header(descr):
    header = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': (1,), }}\n".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + b"\x80\x04N."


def zip_files():
    arrays = {
        "X": np.asfortranarray(ramp("<f8")),
        "labels": np.array([3, 1, 2]),
        "layer1/weight": ramp("<f4"),
        "größe": np.array(1.5),
        "none": np.zeros((0, 4)),
    }
    np.savez(FOLDER / "stored.npz", **arrays)
    np.savez_compressed(FOLDER / "deflated.npz", **arrays)
    np.savez(FOLDER / "single.npz", only=np.arange(3.0))
    np.savez(FOLDER / "nothing.npz")

    # Names without .npy, a folder, and sizes after the data as a stream writes them.
    class Stream(io.RawIOBase):
        def __init__(self):
            self.bytes = bytearray()

        def writable(self):
            return True

        def write(self, data):
            self.bytes += data
            return len(data)

    stream = Stream()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr(_member("folder/"), b"")
        archive.writestr(_member("folder/a"), bytes_of(np.arange(3.0)))
        archive.writestr(_member("b.npy", zipfile.ZIP_DEFLATED), bytes_of(np.zeros(500)))
    save("streamed.npz", bytes(stream.bytes))

    # Sizes, offsets and counts in 64 bits throughout, as for archives beyond 4 GiB.
    limits = zipfile.ZIP64_LIMIT, zipfile.ZIP_FILECOUNT_LIMIT
    zipfile.ZIP64_LIMIT = zipfile.ZIP_FILECOUNT_LIMIT = 0
    np.savez(FOLDER / "zip64.npz", **arrays)
    zipfile.ZIP64_LIMIT, zipfile.ZIP_FILECOUNT_LIMIT = limits

    for name, method in [("bzip2", zipfile.ZIP_BZIP2), ("lzma", zipfile.ZIP_LZMA)]:
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as archive:
            archive.writestr(_member("a.npy", method), bytes_of(np.arange(3.0)))
        save(f"refused_{name}.npz", out.getvalue())

    # 16 MiB of zeros in 16 KiB.
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        zeros = bytes_of(np.zeros(1 << 21))
        archive.writestr(_member("zeros.npy", zipfile.ZIP_DEFLATED), zeros, compresslevel=9)
    save("bomb.npz", out.getvalue())


def _member(name, method=zipfile.ZIP_STORED):
    member = zipfile.ZipInfo(name)
    member.compress_type = method
    return member


def safetensors_file():
    """By hand, as the format says: nothing here comes from our own writer. The header has 5 bytes
    too few for the data to be aligned."""
    tensors = {
        "layer1.weight": ("F32", ramp("<f4")),
        "bias": ("F64", np.array([0.5, -1.5])),
        "steps": ("I64", np.array(7)),
        "mask": ("BOOL", np.array([True, False, True])),
        "half": ("F16", np.array([1.5, -2.0], "<f2")),
        "brain": ("BF16", np.array([0x3F80, 0xC049], "<u2")),
        "none": ("U8", np.zeros((0, 2), "u1")),
        "bytes": ("U8", np.array([1, 2, 255], "u1")),
    }
    header, data = {"__metadata__": {"method": "flatness", "seed": "7"}}, b""
    for name, (dtype, array) in tensors.items():
        end = len(data) + array.nbytes
        header[name] = {
            "dtype": dtype,
            "shape": list(array.shape),
            "data_offsets": [len(data), end],
        }
        data += array.tobytes()
    text = json.dumps(header).encode()
    text += b" " * ((3 - len(text)) % 8)
    save("mixed.safetensors", struct.pack("<Q", len(text)) + text + data)


def listing(golden):
    lines = []
    for path in sorted(golden.glob("*.npz")):
        with np.load(path) as archive:
            for name, array in archive.items():
                kind = "str" if array.dtype.kind == "U" else array.dtype.name
                line = f"{path.stem} {name} {kind} {list(array.shape)}"
                if kind == "float64":
                    line += f" {array[np.isfinite(array)].sum():.6e}"
                lines.append(line + "\n")
    (FOLDER / "flatness_listing.txt").write_text("".join(lines))


if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    numpy_files()
    refused_files()
    zip_files()
    safetensors_file()
    if len(sys.argv) > 2:
        listing(pathlib.Path(sys.argv[2]))
