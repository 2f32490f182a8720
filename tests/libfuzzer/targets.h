// The target functions that are no devices; fuzz_targets.cpp lists all.
#pragma once

#include "tests/libfuzzer/fuzz_target.h"

namespace dragoman {

/// Decoder and disassembler, all code sizes, today's and old processors.
void fuzz_decoder(std::span<const u8> input);
/// A damaged saved state of the processor, then a few instructions on both engines.
void fuzz_cpu_state(std::span<const u8> input);
/// Captures of single instructions: MOO, JSON, metadata.
void fuzz_vectors(std::span<const u8> input);
/// Kernels by their boot protocols, and what a file is taken for.
void fuzz_kernel(std::span<const u8> input);
/// Images of all formats: opened, read, written.
void fuzz_disk_image(std::span<const u8> input);
/// A directory with names from the input as a FAT disk.
void fuzz_fat_directory(std::span<const u8> input);
/// Packets of the gdb remote protocol, one a line, framed here; the machine runs a little between.
void fuzz_gdb(std::span<const u8> input);
/// QMP as it comes from a socket.
void fuzz_qmp(std::span<const u8> input);
/// Lines of the human monitor.
void fuzz_monitor(std::span<const u8> input);
/// What a VNC viewer sends.
void fuzz_vnc(std::span<const u8> input);

}  // namespace dragoman
