"""Packs TensorFlow itself for the GPU machine, beside what pack.py packs: .gpu/tf1, .gpu/tf2, ...

usage, after pack.py:  python benchmarks/gpu/pack_tf.py [--wheel FILE] [--jobs 2]

The wheel is cut down to what one Hopper GPU needs: of the GPU code only that for compute capability 9.0, no symbol
tables, no C++ headers. What is cut out of libraries is overwritten with zeros, so that nothing in them moves.
"""

import argparse
import functools
import io
import lzma
import multiprocessing
import shutil
import struct
import tarfile
import tempfile
import zipfile
from pathlib import Path

from pack import HERE, download, lay, parts_folder

WHEEL = "tensorflow==2.21.0"
WHEELS = ["astunparse==1.6.3", "flatbuffers==25.12.19", "gast==0.7.0", "google_pasta==0.2.0", "opt_einsum==3.4.0",
          "protobuf==7.36.2", "termcolor==3.3.0", "wrapt==2.5.2", "nvidia-cuda-runtime-cu12==12.8.90",
          "nvidia-cuda-cupti-cu12==12.8.90"]  # fmt: skip
KEPT_CAPABILITY = 90
LEFT_OUT = ("tensorflow/include/", "tensorflow/xla_aot_runtime_src/",
            "tensorflow/THIRD_PARTY_NOTICES.txt",
            "tensorflow/compiler/mlir/stablehlo/stablehlo_extension.so", "tensorflow/compiler/tf2xla/ops/_xla_ops.so",
            "tensorflow/python/profiler/internal/_pywrap_profiler_plugin.so")  # fmt: skip
STAND_INS = {"tensorflow/python/profiler/internal/_pywrap_profiler_plugin.py": b"# left out: only profiling needs it\n"}
CHUNK = 48 << 20


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wheel", help="TensorFlow's wheel, if it is there already; of another Python to try this out")
    parser.add_argument("--jobs", type=int, default=2, help="processes that compress")
    parser.add_argument("--preset", type=int, default=6, help="of LZMA; 1 is quick, to try this out")
    arguments = parser.parse_args()
    into, limit = parts_folder()
    for old in into.glob("tf*"):
        shutil.rmtree(old)
    with tempfile.TemporaryDirectory() as scratch:
        wheel = arguments.wheel or download([WHEEL], Path(scratch, "tensorflow"))[0]
        files = {path.name: path.read_bytes() for path in download(WHEELS, Path(scratch, "wheels"))}
        with multiprocessing.Pool(arguments.jobs) as pool:
            compress = functools.partial(compressed, preset=arguments.preset)
            for number, packed in enumerate(pool.imap(compress, chunks(wheel))):
                files[f"tensorflow.tar.{number:02}.xz"] = packed
                print(f"{number:3}  {len(packed) / 1e6:6.1f} MB", flush=True)
    programs = {name: (HERE / name).read_bytes() for name in ("tf_remote.sh", "measure.py")}
    lay(files, into, limit, programs, "tf")


def compressed(chunk, preset):
    filters = [{"id": lzma.FILTER_X86}, {"id": lzma.FILTER_LZMA2, "preset": preset, "dict_size": CHUNK}]
    return lzma.compress(chunk, format=lzma.FORMAT_XZ, check=lzma.CHECK_CRC32, filters=filters)


def chunks(wheel):
    """Yields the tar file of what is kept of a wheel, in chunks that can be compressed one by one."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(wheel) as archive, tarfile.open(fileobj=buffer, mode="w|") as tar:
        names = [name for name in archive.namelist() if not name.startswith(LEFT_OUT) and not name.endswith("/")]
        for name in [*names, *STAND_INS]:
            content = bytearray(STAND_INS[name] if name in STAND_INS else archive.read(name))
            if content.startswith(b"\x7fELF"):
                thin(content, name)
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(content), 0o755
            tar.addfile(info, io.BytesIO(content))
            while buffer.tell() >= CHUNK:
                whole = buffer.getvalue()
                yield whole[:CHUNK]
                buffer.seek(0)
                buffer.truncate()
                buffer.write(whole[CHUNK:])
    yield buffer.getvalue()


def thin(library, name):
    """Zeroes symbol tables and GPU code of other capabilities in a shared library, a bytearray."""
    for section, _, start, size in sections(library):
        if section in (".symtab", ".strtab"):
            library[start : start + size] = bytes(size)
        elif section == ".nv_fatbin":
            kept, all_of_it = thin_gpu_code(library, start, start + size)
            print(f"{name}: kept {kept / 1e6:.1f} of {all_of_it / 1e6:.1f} MB of GPU code", flush=True)


def sections(library):
    """(name, type, offset, size) of every section of a 64-bit ELF file that stands in the file."""
    table, (count, names) = struct.unpack_from("<Q", library, 40)[0], struct.unpack_from("<HH", library, 60)
    headers = [struct.unpack_from("<IIQQQQIIQQ", library, table + 64 * number) for number in range(count)]
    for header in headers:
        start = headers[names][4] + header[0]
        name = bytes(library[start : library.index(b"\0", start)]).decode()
        if header[1] != 8:  # NOBITS: zeros that are not stored
            yield name, header[1], header[4], header[5]


def thin_gpu_code(library, start, end):
    """Cuts a section of fat binaries down to what KEPT_CAPABILITY needs; returns the bytes kept, and of all.

    A container: magic, version, size of the header, size of what follows. In it entries: kind (1 PTX, 2 machine code),
    version, sizes of header and payload, ..., capability at byte 28. Every container stays where it is, as one made
    for KEPT_CAPABILITY alone: with its machine code, or where there is none, its PTX. What follows is zeroed.
    """
    kept = total = 0
    while start < end:
        magic, _, header, size = struct.unpack_from("<IHHQ", library, start)
        if magic != 0xBA55ED50:
            start += 8
            continue
        first, after, entries = start + header, start + header + size, {}
        place = first
        while place < after:
            kind, _, header, payload = struct.unpack_from("<HHIQ", library, place)
            capability = struct.unpack_from("<I", library, place + 28)[0]
            entries[kind, capability] = bytes(library[place : place + header + payload])
            place += header + payload
        assert place == after, "a fat binary of another format"
        entry = entries.get((2, KEPT_CAPABILITY)) or entries.get((1, KEPT_CAPABILITY))
        assert entry, f"a fat binary without code for capability {KEPT_CAPABILITY}"
        library[first:after] = entry.ljust(size, b"\0")
        struct.pack_into("<Q", library, start + 8, len(entry))
        kept, total, start = kept + len(entry), total + size, after
    return kept, total


if __name__ == "__main__":
    main()
