"""A 64-bit kernel of our own, with symbols, for sessions of GDB: the way into 64-bit mode in assembler,
around a function `kmain` in C."""
import subprocess

# Entered by PVH in 32-bit mode (xen/include/public/elfnote.h, XEN_ELFNOTE_PHYS32_ENTRY).
ENTRY = r"""
.section .note.pvh, "a"
  .long 4, 4, 18
  .asciz "Xen"
  .long start
.text
.code32
.globl start
start:
  movl $stack_top, %esp
  movl $tables + 0x1003, tables
  movl $tables + 0x2003, tables + 0x1000
  movl $0x83, tables + 0x2000
  movl $0x200083, tables + 0x2008
  movl $tables, %eax
  movl %eax, %cr3
  movl %cr4, %eax
  orl $0x20, %eax
  movl %eax, %cr4
  movl $0xc0000080, %ecx
  rdmsr
  orl $0x100, %eax
  wrmsr
  movl %cr0, %eax
  orl $0x80000000, %eax
  movl %eax, %cr0
  lgdt pointer
  ljmp $8, $long_mode
.code64
long_mode:
  xorl %eax, %eax
  movl %eax, %ds
  movl %eax, %es
  movl %eax, %ss
  movabsq $table_i + 6 * 16, %rdi
  leaq undefined(%rip), %rax
  movw %ax, (%rdi)
  movw $8, 2(%rdi)
  movw $0x8e00, 4(%rdi)
  shrq $16, %rax
  movw %ax, 6(%rdi)
  lidt pointer_i
  call kmain
1: hlt
  jmp 1b
undefined:
  addq $2, (%rsp)
  iretq
.data
.balign 8
gdt: .quad 0, 0x00af9a000000ffff
pointer: .word 15
  .quad gdt
pointer_i: .word 255
  .quad table_i
.bss
.balign 4096
tables: .skip 0x3000
table_i: .skip 256
stack: .skip 4096
stack_top:
"""

LINK = """
ENTRY(start)
PHDRS { all PT_LOAD FLAGS(7); note PT_NOTE FLAGS(4); }
SECTIONS {
  . = 0x100000;
  .note.pvh : { *(.note.pvh) } :all :note
  .text : { *(.text*) } :all
  .rodata : { *(.rodata*) } :all
  .data : { *(.data*) } :all
  .bss : { *(.bss*) *(COMMON) } :all
  /DISCARD/ : { *(.comment) *(.eh_frame) *(.note.gnu*) }
}
"""

FLAGS = ["-ffreestanding", "-fno-pic", "-no-pie", "-mno-red-zone", "-mgeneral-regs-only", "-fno-stack-protector",
         "-fcf-protection=none", "-O1", "-g", "-nostdlib", "-Wa,--noexecstack", "-Wl,--no-warn-rwx-segments",
         "-Wl,--build-id=none"]


def build(folder, kmain):
    """Writes `kernel.elf` into the folder; `kmain` is the text of the C file."""
    for name, text in (("entry.S", ENTRY), ("kernel.c", kmain), ("link.ld", LINK)):
        with open(f"{folder}/{name}", "w") as file:
            file.write(text)
    subprocess.run(["gcc", *FLAGS, "-T", "link.ld", "-o", "kernel.elf", "entry.S", "kernel.c"], cwd=folder,
                   check=True)
    return f"{folder}/kernel.elf"


def symbols(file):
    """Names and addresses."""
    table = subprocess.run(["nm", file], capture_output=True, text=True, check=True).stdout
    return {line.split()[2]: int(line.split()[0], 16) for line in table.splitlines() if len(line.split()) == 3}
