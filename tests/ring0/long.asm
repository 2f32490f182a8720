; 64-bit mode: canonical checks of every access, branch and base; FSGSBASE; SYSCALL, SYSENTER, SWAPGS.
%include "ring0.inc"

kHole  equ 0x800000000000       ; first address that is not canonical
kHole2 equ 0xffff7fffffffffff   ; the last one
kHole3 equ 0x8000000000000000

; An access in both rings: kind, vector, address, instruction (address in RBX)
%macro HOLE 4+
        hole_in {%1, ".low"}, k64, %2, kHole, %4
        hole_in {%1, ".high"}, u64, %2, kHole2, %4
        hole_in {%1, ".top"}, u64, %2, kHole3, %4
%endmacro
%macro hole_in 5+
        %defstr %%mode %2
        CASE {"canonical.", %1, ".", %%mode}, "SDM1 3.3.7.1; SDM3 6.15 #GP, #SS", %2
        mov dword [v_ist], 1
        BODY
        FAULTS %3, 0
        WANT r_cr2, 0
        sub rsp, 64
        mov rbx, %4
        AT
        %5
        END
%endmacro
HOLE "read", GP_, 0, {mov al, [rbx]}
HOLE "write", GP_, 0, {mov [rbx], eax}
HOLE "read_ds_override", GP_, 0, {mov al, [rbx + 0]}
HOLE "modify", GP_, 0, {lock inc dword [rbx]}
HOLE "push_memory", GP_, 0, {push qword [rbx]}
HOLE "pop_memory", GP_, 0, {pop qword [rbx]}
HOLE "call_memory", GP_, 0, {call qword [rbx]}
HOLE "jmp_memory", GP_, 0, {jmp qword [rbx]}
HOLE "jmp_far_memory", GP_, 0, {jmp far dword [rbx]}
HOLE "jmp", GP_, 0, {jmp rbx}
HOLE "call", GP_, 0, {call rbx}
HOLE "movups", GP_, 0, {movups xmm0, [rbx]}
HOLE "fld", GP_, 0, {fld qword [rbx]}
HOLE "sgdt", GP_, 0, {sgdt [rbx]}
HOLE "clflush", GP_, 0, {clflush [rbx]}
HOLE "bt_memory", GP_, 0, {bt [rbx], eax}
HOLE "cmpxchg8b", GP_, 0, {cmpxchg8b [rbx]}
HOLE "fs_read", GP_, 0, {mov al, [fs:rbx]}
%macro NOHOLE 2+
        %defstr %%text %2
        CASE {"canonical.", %1, ".none.u64"}, "SDM2 of the instruction", u64
        BODY
        FAULTS NONE
        mov rbx, kHole
        %2
        END
%endmacro
NOHOLE "lea", {lea rax, [rbx]}
NOHOLE "prefetch", {prefetcht0 [rbx]}
NOHOLE "nop", {nop dword [rbx]}
GOOD "canonical.invlpg.none.k64", "SDM2 INVLPG", k64, {invlpg [dword 0x7000]}
CASE "canonical.invlpg.hole.k64", "SDM2 INVLPG", k64
        BODY
        FAULTS NONE
        mov rbx, kHole
        invlpg [rbx]
        END
; Stack references
%macro STACKHOLE 4+             ; kind, RSP, RBP, instruction
        CASE {"canonical.stack.", %1, ".u64"}, "SDM3 6.15 #SS", u64
        BODY
        FAULTS SS_, 0
        WANT64 r_sp, %2
        mov rsp, %2
        mov rbp, %3
        AT
        %4
        END
        CASE {"canonical.stack.", %1, ".k64"}, "SDM3 6.15 #SS", k64
        mov dword [v_ist], 1
        BODY
        FAULTS SS_, 0
        WANT64 r_sp, %2
        mov rsp, %2
        mov rbp, %3
        AT
        %4
        END
%endmacro
STACKHOLE "push", kHole + 8, 0, push rax
STACKHOLE "push_down", kHole2 + 1, 0, push rax
STACKHOLE "pop", kHole, 0, pop rax
STACKHOLE "pop_crosses", kHole - 4, 0, pop rax
STACKHOLE "call", kHole + 8, 0, call $
STACKHOLE "ret", kHole, 0, ret
STACKHOLE "pushfq", kHole3, 0, pushfq
STACKHOLE "popfq", kHole3, 0, popfq
STACKHOLE "enter", kHole3, 0, {enter 0, 0}
STACKHOLE "rbp", kStack3 - 64, kHole, {mov al, [rbp]}
STACKHOLE "rbp_displacement", kStack3 - 64, kHole - 1, {mov al, [rbp + 1]}
STACKHOLE "rsp_base", kHole, 0, {mov al, [rsp]}
STACKHOLE "leave", kStack3 - 64, kHole, leave
STACKHOLE "retf", kHole, 0, retf
STACKHOLE "iretq", kHole3, 0, iretq
; Returns to the hole: the fault is the return's, with RSP unchanged.
%macro RETHOLE 3                ; kind, mode, instruction bytes
        %defstr %%mode %2
        CASE {"canonical.return.", %1, ".", %%mode}, "SDM2 RET, IRET", %2
        BODY
        FAULTS GP_, 0
%ifidn %1,"ret"
        mov rax, kHole
        push rax
%elifidn %1,"ret_imm"
        mov rax, kHole
        push rax
%elifidn %1,"retf"
        mov eax, cs
        push rax
        mov rax, kHole
        push rax
%else
        mov eax, ss
        push rax
        lea rax, [rsp + 8]
        push rax
        push 2
        mov eax, cs
        push rax
        mov rax, kHole2
        push rax
%endif
        AT
        db %3
        END
%endmacro
RETHOLE "ret", k64, {0xc3}
RETHOLE "ret", u64, {0xc3}
RETHOLE "ret_imm", u64, {0xc2, 0x08, 0x00}
RETHOLE "retf", k64, {0x48, 0xcb}
RETHOLE "retf", u64, {0x48, 0xcb}
RETHOLE "iretq", k64, {0x48, 0xcf}
RETHOLE "iretq", u64, {0x48, 0xcf}
; An access that crosses into the hole.
CASE "canonical.crosses.read.k64", "SDM1 3.3.7.1", k64
        BODY
        FAULTS GP_, 0
        mov rbx, kHole - 1
        AT
        mov ax, [rbx]
        END
CASE "canonical.crosses.last_byte.k64", "SDM1 3.3.7.1", k64
        BODY
        FAULTS PF_, 0
        mov rbx, kHole - 1
        AT
        mov al, [rbx]
        END
; Bases
%macro BASE 3+                  ; kind, vector, instructions with the value in RBX
        CASE {"canonical.base.", %1, ".k64"}, "SDM2 WRMSR, LGDT; SDM3 5.3.1", k64
        BODY
        FAULTS %2, 0
        mov rbx, kHole
        %3
        END
%endmacro
%macro wrmsr_base 1
        mov ecx, %1
        mov eax, ebx
        mov rdx, rbx
        shr rdx, 32
        AT
        wrmsr
%endmacro
BASE "fs", GP_, wrmsr_base 0xc0000100
BASE "gs", GP_, wrmsr_base 0xc0000101
BASE "kernel_gs", GP_, wrmsr_base 0xc0000102
BASE "lstar", GP_, wrmsr_base 0xc0000082
BASE "cstar", GP_, wrmsr_base 0xc0000083
BASE "sysenter_esp", GP_, wrmsr_base 0x175
BASE "sysenter_eip", GP_, wrmsr_base 0x176
%macro table_base 1
        mov word [rsp - 32], 0xff
        mov [rsp - 30], rbx
        AT
        %1 [rsp - 32]
%endmacro
BASE "lgdt", GP_, table_base lgdt
BASE "lidt", GP_, table_base lidt
%macro SYSBASE 3                ; insn, type, prep
        %defstr %%insn %1
        CASE {"canonical.base.", %%insn, ".k64"}, "SDM2 LLDT, LTR", k64
        DESC kT0, 0, 0x67, %2, 0
        mov dword [kGdt + kT0 + 8], 0x8000
        mov dword [kGdt + kT0 + 12], 0
        BODY
        FAULTS GP_, kT0
        mov ax, kT0
        AT
        %1 ax
        END
%endmacro
SYSBASE lldt, 0x82, 0
SYSBASE ltr, 0x89, 0
%macro FSGS 5+                  ; name, mode, vector, needs cr4 bit, insn
        %defstr %%mode %2
        CASE {"fsgsbase.", %1, ".", %%mode}, "SDM2 WRFSBASE", %2
        NEEDS f_cpuid7b, 1
        or dword [v_cr4], %4
        BODY
        FAULTS %3, 0
        mov rbx, kHole
%if %3 != NONE
        AT
%endif
        %5
        END
%endmacro
FSGS "wrfsbase_hole", u64, GP_, 1 << 16, wrfsbase rbx
FSGS "wrgsbase_hole", u64, GP_, 1 << 16, wrgsbase rbx
FSGS "wrfsbase_hole", k64, GP_, 1 << 16, wrfsbase rbx
FSGS "wrfsbase_32", u64, NONE, 1 << 16, {db 0xf3, 0x0f, 0xae, 0xd3}
FSGS "rdfsbase_disabled", u64, UD_, 0, rdfsbase rbx
FSGS "wrgsbase_disabled", k64, UD_, 0, wrgsbase rbx
%macro fsgsbase_on 0
        NEEDS f_cpuid7b, 1
        or dword [v_cr4], 1 << 16
%endmacro
ONEP "fsgsbase.rdfsbase.c32", "SDM2 RDFSBASE", c32, UD_, 0, {fsgsbase_on}, {db 0xf3, 0x0f, 0xae, 0xc0}

; SYSCALL and SYSRET
section .text
        bits 64
syscall_entry:
        int kDone
        bits 32
%macro with_lstar 0
        set_msr 0xc0000082, syscall_entry, 0
        set_msr 0xc0000084, 0x4700, 0
%endmacro
CASE "syscall.state.u64", "SDM2 SYSCALL", u64
        with_lstar
        mov dword [v_flags], 0x4ad7 & ~0x100
        BODY
        FAULTS NONE
        WANT r_rcx, %$back
        WANT r_r11, 0xad7 | 0x4000 & 0x4000
        WANT r_cs, kCode64
        WANT r_ss, kCode64 + 8
        WANT r_flags, 0x8d7, 0xffff                     ; NT, DF, IF, TF (4700h) cleared
        WANT r_sp, kStack3
        syscall
%$back:
        END
CASE "syscall.state.k64", "SDM2 SYSCALL", k64
        with_lstar
        BODY
        FAULTS NONE
        WANT r_rcx, %$back
        WANT r_cs, kCode64
        syscall
%$back:
        END
ONEP "syscall.disabled.u64", "SDM2 SYSCALL", u64, UD_, 0, {and dword [v_efer], ~1}, syscall
ONEP "syscall.disabled.k64", "SDM2 SYSCALL", k64, UD_, 0, {and dword [v_efer], ~1}, syscall
ONEP "syscall.compatibility.c32", "SDM2 SYSCALL", c32, UD_, 0, {with_lstar}, {db 0x0f, 0x05}
ONE "syscall.protected.p32", "SDM2 SYSCALL", p32, UD_, 0, {db 0x0f, 0x05}
ONE "syscall.sysret.user.u64", "SDM2 SYSRET", u64, GP_, 0, o64 sysret
ONEP "syscall.sysret.disabled.k64", "SDM2 SYSRET", k64, UD_, 0, {and dword [v_efer], ~1}, o64 sysret
ONE "syscall.sysret.compatibility.d32", "SDM2 SYSRET", d32, UD_, 0, {db 0x0f, 0x07}
%macro SYSRET 5                 ; kind, R11, wanted flags, CS, instruction bytes
        CASE {"syscall.sysret.", %1, ".k64"}, "SDM2 SYSRET", k64
        BODY
        FAULTS NONE
        WANT r_cs, %4
        WANT r_ss, kUData
        WANT r_flags, %3
        WANT r_sp, kStack3
        mov ecx, %%user
        mov r11d, %2
        mov esp, kStack3
        db %5
        section .utext
%%user: int kDone
        section .text
        END
%endmacro
SYSRET "to_64", 2, 2, kUCode64, {0x48, 0x0f, 0x07}
SYSRET "to_32", 2, 2, kUCode32, {0x0f, 0x07}
SYSRET "flags", 0x3c7ed7, 0x3c7ed7, kUCode64, {0x48, 0x0f, 0x07}
SYSRET "rf_vm_cleared", 0x30002, 2, kUCode64, {0x48, 0x0f, 0x07}
SYSRET "reserved_cleared", 0xffc08028, 2, kUCode64, {0x48, 0x0f, 0x07}
CASE "syscall.sysret.not_canonical.k64", "SDM2 SYSRET", k64
        BODY
        FAULTS GP_, 0
        WANT r_cs, kCode64              ; the fault is taken before the level changes
        mov rcx, kHole
        mov r11d, 2
        AT
        o64 sysret
        END
; SYSENTER and SYSEXIT
%macro with_sysenter 1
        set_msr 0x174, kFast, 0
        set_msr 0x175, kTaskStack, 0
        set_msr 0x176, %1, 0
%endmacro
section .text
sysenter_entry:
        bits 32
        int kDone
CASE "sysenter.state.q32", "SDM2 SYSENTER", q32
        with_sysenter sysenter_entry
        mov dword [v_flags], 0x3202
        BODY
        FAULTS NONE
        WANT r_cs, kFast
        WANT r_ss, kFast + 8
        WANT r_sp, kTaskStack
        WANT r_flags, 0x3002, 0x33202
        sysenter
        END
CASE "sysenter.state.v86", "SDM2 SYSENTER", v86
        with_sysenter sysenter_entry
        BODY
        FAULTS NONE
        WANT r_cs, kFast
        WANT r_flags, 0, 0x20000
        sysenter
        END
CASE "sysenter.state.u64", "SDM2 SYSENTER", u64
        with_sysenter syscall_entry
        BODY
        FAULTS NONE
        WANT r_cs, kFast
        WANT r_ss, kFast + 8
        WANT64 r_sp, kTaskStack
        mov rsp, 0x123456789abcd
        db 0x0f, 0x34
        END
CASE "sysenter.rpl_of_msr_ignored.q32", "SDM2 SYSENTER", q32
        with_sysenter sysenter_entry
        set_msr 0x174, kFast | 3, 0
        BODY
        FAULTS NONE
        WANT r_cs, kFast
        sysenter
        END
ONE "sysenter.cs_zero.q32", "SDM2 SYSENTER", q32, GP_, 0, sysenter
ONE "sysenter.cs_zero.p32", "SDM2 SYSENTER", p32, GP_, 0, sysenter
ONE "sysenter.cs_zero.u64", "SDM2 SYSENTER", u64, GP_, 0, {db 0x0f, 0x34}
ONEP "sysenter.cs_rpl_only.q32", "SDM2 SYSENTER", q32, GP_, 0, {set_msr 0x174, 3, 0}, sysenter
ONE "sysenter.real.rm", "SDM2 SYSENTER", rm, GP_, 0, sysenter
ONEP "sysexit.user.q32", "SDM2 SYSEXIT", q32, GP_, 0, {set_msr 0x174, kFast, 0}, sysexit
ONEP "sysexit.user.u64", "SDM2 SYSEXIT", u64, GP_, 0, {set_msr 0x174, kFast, 0}, {db 0x0f, 0x35}
ONE "sysexit.cs_zero.p32", "SDM2 SYSEXIT", p32, GP_, 0, sysexit
ONE "sysexit.real.rm", "SDM2 SYSEXIT", rm, GP_, 0, sysexit
%macro SYSEXIT 5                ; kind, mode, CS, SS, bytes
        %defstr %%mode %2
        CASE {"sysexit.", %1, ".", %%mode}, "SDM2 SYSEXIT", %2
        set_msr 0x174, kFast, 0
        BODY
        FAULTS NONE
        WANT r_cs, %3
        WANT r_ss, %4
        WANT r_sp, kStack3
        mov edx, %%user
        mov ecx, kStack3
        db %5
        section .utext
%%user: int kDone
        section .text
        END
%endmacro
SYSEXIT "to_32", p32, kFast + 16 + 3, kFast + 24 + 3, {0x0f, 0x35}
SYSEXIT "to_compatibility", k64, kFast + 16 + 3, kFast + 24 + 3, {0x0f, 0x35}
SYSEXIT "to_64", k64, kFast + 32 + 3, kFast + 40 + 3, {0x48, 0x0f, 0x35}
%macro SYSEXITHOLE 3
        CASE {"sysexit.not_canonical.", %1, ".k64"}, "SDM2 SYSEXIT", k64
        set_msr 0x174, kFast, 0
        BODY
        FAULTS GP_, 0
        mov rdx, %2
        mov rcx, %3
        AT
        db 0x48, 0x0f, 0x35
        END
%endmacro
SYSEXITHOLE "rip", kHole, 0
SYSEXITHOLE "rsp", 0, kHole
; SWAPGS
ONE "swapgs.user.u64", "SDM2 SWAPGS", u64, GP_, 0, swapgs
ONE "swapgs.compatibility.d32", "SDM2 SWAPGS", d32, UD_, 0, {db 0x0f, 0x01, 0xf8}
ONE "swapgs.compatibility.c32", "SDM2 SWAPGS", c32, UD_, 0, {db 0x0f, 0x01, 0xf8}
ONE "swapgs.protected.p32", "SDM2 SWAPGS", p32, UD_, 0, {db 0x0f, 0x01, 0xf8}
CASE "swapgs.swaps.k64", "SDM2 SWAPGS", k64
        set_msr 0xc0000102, kResults + 0x100, 0
        BODY
        FAULTS NONE
        set_msr 0xc0000101, kResults, 0
        WANT r_rax, 0x22222222
        WANT r_rbx, 0x11111111
        mov dword [abs kResults], 0x11111111
        mov dword [abs kResults + 0x100], 0x22222222
        swapgs
        mov eax, [gs:abs 0]
        swapgs
        mov ebx, [gs:abs 0]
        END
image_done
