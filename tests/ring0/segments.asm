; Loads of segment registers: type, privilege, presence, table limits, LDT, in protected mode and in
; IA-32e mode, at CPL 0 and 3; LAR, LSL, VERR, VERW; LLDT and LTR; limits and types of accesses.
%include "ring0.inc"

; The selector travels in AX from the start: registers are zero, so it is set here.
%macro LOADS 7
        LOADX %1, %2, {%3}, %4, %5, %6, {%7}
%endmacro
%macro LOADX 7
        %defstr %%reg %1
        %defstr %%mode %2
        CASE {"segment.load.", %%reg, ".", %3, ".", %%mode}, "SDM3 5.6, SDM2 MOV", %2
        %7
        BODY
        FAULTS %5, %6
        mov ax, %4
%if %5 == NONE
%ifidn %1,ss
        WANT r_rbx, (%4) & 0xffff
%else
        WANT r_%1, (%4) & 0xffff
%endif
        mov %1, ax
%ifidn %1,ss
        mov bx, ss
%endif
%else
        AT
        mov %1, ax
%endif
        END
%endmacro

; Data segment registers at the given CPL.
%macro data_register 3          ; register, mode, CPL
        LOADS %1, %2, "null", 0, NONE, 0, {}
        LOADS %1, %2, "null_rpl3", 3, NONE, 0, {}
        LOADS %1, %2, "beyond_gdt", 0x1000 | %3, GP_, 0x1000, {}
        LOADS %1, %2, "last_byte_beyond_gdt", 0x180 | %3, GP_, 0x180, {}
        LOADS %1, %2, "empty", kT0 | %3, GP_, kT0, {}
        LOADS %1, %2, "beyond_ldt", 0x84 | %3, GP_, 0x84, {}
        LOADS %1, %2, "in_ldt", 4 | %3, NONE, 0, {DESC kLdtTable - kGdt, 0, 0xfffff, 0xf3, 0xc}
        LOADS %1, %2, "data_ro", kT0 | %3, NONE, 0, {DESC kT0, 0, 0xfffff, 0xf1, 0xc}
        LOADS %1, %2, "data_expand_down", kT0 | %3, NONE, 0, {DESC kT0, 0, 0, 0xf7, 0xc}
        LOADS %1, %2, "code_readable", kT0 | %3, NONE, 0, {DESC kT0, 0, 0xfffff, 0xfb, 0xc}
        LOADS %1, %2, "code_execute_only", kT0 | %3, GP_, kT0, {DESC kT0, 0, 0xfffff, 0xf9, 0xc}
        LOADS %1, %2, "conforming_dpl0", kT0 | 3, NONE, 0, {DESC kT0, 0, 0xfffff, 0x9f, 0xc}
        LOADS %1, %2, "conforming_execute_only", kT0 | %3, GP_, kT0, {DESC kT0, 0, 0xfffff, 0xfd, 0xc}
        LOADS %1, %2, "not_present", kT0 | %3, NP_, kT0, {DESC kT0, 0, 0xfffff, 0x73, 0xc}
        LOADS %1, %2, "dpl0_rpl3", kT0 | 3, GP_, kT0, {DESC kT0, 0, 0xfffff, 0x93, 0xc}
        LOADS %1, %2, "dpl0_rpl3_not_present", kT0 | 3, GP_, kT0, {DESC kT0, 0, 0xfffff, 0x13, 0xc}
        LOADS %1, %2, "code_dpl2_rpl3", kT0 | 3, GP_, kT0, {DESC kT0, 0, 0xfffff, 0xdb, 0xc}
%if %3 == 3
        LOADS %1, %2, "dpl0_cpl3", kT0, GP_, kT0, {DESC kT0, 0, 0xfffff, 0x93, 0xc}
        LOADS %1, %2, "dpl2_cpl3", kT0, GP_, kT0, {DESC kT0, 0, 0xfffff, 0xd3, 0xc}
        LOADS %1, %2, "dpl3_rpl0_cpl3", kT0, NONE, 0, {DESC kT0, 0, 0xfffff, 0xf3, 0xc}
%else
        LOADS %1, %2, "dpl0_cpl0", kT0, NONE, 0, {DESC kT0, 0, 0xfffff, 0x93, 0xc}
        LOADS %1, %2, "dpl1_rpl1_cpl0", kT0 | 1, NONE, 0, {DESC kT0, 0, 0xfffff, 0xb3, 0xc}
        LOADS %1, %2, "dpl1_rpl2_cpl0", kT0 | 2, GP_, kT0, {DESC kT0, 0, 0xfffff, 0xb3, 0xc}
%endif
%endmacro
; Every system type is refused.
%macro system_types 3
%assign type 0
%rep 16
        %defstr %%type type
        LOADS %1, %2, {"system_type_", %%type}, kT0 | %3, GP_, kT0, {DESC kT0, 0, 0xfffff, 0xe0 | type, 0}
%assign type type + 1
%endrep
%endmacro
%macro stack_register 3         ; mode, CPL, IA-32e kernel mode
%if %3
        LOADS ss, %1, "null", 0, NONE, 0, {}
        LOADS ss, %1, "null_rpl3", 3, GP_, 0, {}
%else
        LOADS ss, %1, "null", 0, GP_, 0, {}
        LOADS ss, %1, "null_rpl3", 3, GP_, 0, {}
%endif
        LOADS ss, %1, "beyond_gdt", 0x1000 | %2, GP_, 0x1000, {}
        LOADS ss, %1, "beyond_ldt", 0x84 | %2, GP_, 0x84, {}
        LOADS ss, %1, "data_rw", kT0 | %2, NONE, 0, {DESC kT0, 0, 0xfffff, 0x93 | (%2) << 5, 0xc}
        LOADS ss, %1, "in_ldt", 4 | %2, NONE, 0, {DESC kLdtTable - kGdt, 0, 0xfffff, 0x93 | (%2) << 5, 0xc}
        LOADS ss, %1, "data_ro", kT0 | %2, GP_, kT0, {DESC kT0, 0, 0xfffff, 0x91 | (%2) << 5, 0xc}
        LOADS ss, %1, "expand_down_ro", kT0 | %2, GP_, kT0, {DESC kT0, 0, 0xfffff, 0x95 | (%2) << 5, 0xc}
        LOADS ss, %1, "code_readable", kT0 | %2, GP_, kT0, {DESC kT0, 0, 0xfffff, 0x9b | (%2) << 5, 0xc}
        LOADS ss, %1, "conforming", kT0 | %2, GP_, kT0, {DESC kT0, 0, 0xfffff, 0x9f | (%2) << 5, 0xc}
        LOADS ss, %1, "not_present", kT0 | %2, SS_, kT0, {DESC kT0, 0, 0xfffff, 0x13 | (%2) << 5, 0xc}
        LOADS ss, %1, "ro_not_present", kT0 | %2, GP_, kT0, {DESC kT0, 0, 0xfffff, 0x11 | (%2) << 5, 0xc}
        LOADS ss, %1, "rpl_other", kT0 | (3 - %2), GP_, kT0, {DESC kT0, 0, 0xfffff, 0x93 | (%2) << 5, 0xc}
        LOADS ss, %1, "dpl_other", kT0 | %2, GP_, kT0, {DESC kT0, 0, 0xfffff, 0x93 | (3 - %2) << 5, 0xc}
        LOADS ss, %1, "rpl1", kT0 | 1, GP_, kT0, {DESC kT0, 0, 0xfffff, 0x93 | (%2) << 5, 0xc}
        LOADS ss, %1, "tss", kTss | %2, GP_, kTss, {}
        LOADS ss, %1, "ldt_descriptor", kLdt | %2, GP_, kLdt, {}
%endmacro

data_register ds, p32, 0
data_register ds, q32, 3
data_register ds, d32, 0
data_register ds, c32, 3
data_register ds, k64, 0
data_register ds, u64, 3
data_register es, p32, 0
data_register es, u64, 3
data_register fs, q32, 3
data_register fs, k64, 0
data_register gs, q32, 3
data_register gs, u64, 3
system_types ds, p32, 0
system_types es, q32, 3
system_types fs, u64, 3
stack_register p32, 0, 0
stack_register q32, 3, 0
stack_register d32, 0, 0
stack_register c32, 3, 0
stack_register k64, 0, 1
stack_register u64, 3, 0

; MOV to CS does not exist; the accessed bit; a fault leaves the register.
%macro others 2
        %defstr %%mode %1
        ONE {"segment.load.cs.mov.", %%mode}, "SDM2 MOV", %1, UD_, 0, {db 0x8e, 0xc8}
        ONE {"segment.load.register6.", %%mode}, "SDM2 MOV", %1, UD_, 0, {db 0x8e, 0xf0}
        ONE {"segment.store.register7.", %%mode}, "SDM2 MOV", %1, UD_, 0, {db 0x8c, 0xf8}
        CASE {"segment.load.ds.sets_accessed.", %%mode}, "SDM3 3.4.5.1", %1
        DESC kT0, 0, 0xfffff, 0xf2, 0xc
        BODY
        FAULTS NONE
        WANT kGdt + kT0 + 4, 0xf300, 0xff00
        mov ax, kT0 | %2
        mov ds, ax
        END
        CASE {"segment.load.ds.not_present_leaves_accessed.", %%mode}, "SDM3 3.4.5.1", %1
        DESC kT0, 0, 0xfffff, 0x72, 0xc
        BODY
        FAULTS NP_, kT0
        WANT kGdt + kT0 + 4, 0x7200, 0xff00
        mov ax, kT0 | %2
        mov ds, ax
        END
        CASE {"segment.load.ds.fault_keeps_selector.", %%mode}, "SDM3 6.5", %1
        BODY
        FAULTS GP_, kT0
        WANT r_ds, 0
        xor ax, ax
        mov ds, ax
        mov ax, kT0
        mov ds, ax
        END
%endmacro
others p32, 0
others q32, 3
others k64, 0
others u64, 3

; A null segment may be loaded and not used, except in 64-bit mode.
%macro null_use 1-*
%rep %0
        null_use_of %1
%rotate 1
%endrep
%endmacro
%macro null_use_of 1
        %defstr %%mode %1
        CASE {"segment.null.read.", %%mode}, "SDM3 5.4.1", %1
        BODY
        FAULTS GP_, 0
        xor ax, ax
        mov ds, ax
        AT
        mov al, [kResults]
        END
        CASE {"segment.null.write_es.", %%mode}, "SDM3 5.4.1", %1
        BODY
        FAULTS GP_, 0
        mov ax, 3
        mov es, ax
        mov edi, kResults
        AT
        a32 stosb
        END
%endmacro
null_use p16, q16, p32, q32, c16, c32, d32

; LAR, LSL, VERR, VERW: ZF tells. AX = descriptor, result in EDX.
%macro LOOK 6                   ; instruction, mode, kind, selector, ZF, {preparation}
        %defstr %%insn %1
        %defstr %%mode %2
        CASE {"segment.", %%insn, ".", %3, ".", %%mode}, "SDM2 LAR, LSL, VERR/VERW", %2
        %6
        BODY
        FAULTS NONE
        WANT r_flags, (%5) << 6, 0x40
        mov eax, %4
        mov edx, 0x5a5a5a5a
%if %5
        cmp eax, 0x5a5a         ; ZF clear
%else
        cmp eax, eax            ; ZF set
        WANT r_rdx, 0x5a5a5a5a
%endif
%ifidn %1,lar
        lar edx, eax
%if %5
        WANT r_rdx, 0, 0xff
%endif
%elifidn %1,lsl
        lsl edx, eax
%else
        %1 ax
%endif
        END
%endmacro
%macro looks 3                  ; mode, CPL, IA-32e
        LOOK lar, %1, "null", 0, 0, {}
        LOOK lar, %1, "beyond", 0x1000, 0, {}
        LOOK lar, %1, "data", kUData, 1, {}
        LOOK lar, %1, "not_present", kT0 | 3, 1, {DESC kT0, 0, 0xfffff, 0x73, 0xc}
        LOOK lar, %1, "dpl0_rpl3", kData32 | 3, 0, {}
        LOOK lar, %1, "conforming", kConforming | 3, 1, {}
        LOOK lar, %1, "ldt", kT0 | 3, 1, {DESC kT0, 0, 0xff, 0xe2, 0}
        LOOK lar, %1, "tss32", kT0 | 3, 1, {DESC kT0, 0, 0xff, 0xe9, 0}
        LOOK lar, %1, "tss16", kT0 | 3, (1 - %3), {DESC kT0, 0, 0xff, 0xe1, 0}
        LOOK lar, %1, "call_gate32", kT0 | 3, 1, {DESC kT0, 0, 0xff, 0xec, 0}
        LOOK lar, %1, "call_gate16", kT0 | 3, (1 - %3), {DESC kT0, 0, 0xff, 0xe4, 0}
        LOOK lar, %1, "task_gate", kT0 | 3, (1 - %3), {DESC kT0, 0, 0xff, 0xe5, 0}
        LOOK lar, %1, "interrupt_gate", kT0 | 3, 0, {DESC kT0, 0, 0xff, 0xee, 0}
        LOOK lar, %1, "type0", kT0 | 3, 0, {DESC kT0, 0, 0xff, 0xe0, 0}
        LOOK lsl, %1, "data", kUData, 1, {}
        LOOK lsl, %1, "call_gate32", kT0 | 3, 0, {DESC kT0, 0, 0xff, 0xec, 0}
        LOOK lsl, %1, "task_gate", kT0 | 3, 0, {DESC kT0, 0, 0xff, 0xe5, 0}
        LOOK lsl, %1, "ldt", kT0 | 3, 1, {DESC kT0, 0, 0xff, 0xe2, 0}
        LOOK lsl, %1, "dpl0_rpl3", kData32 | 3, 0, {}
        LOOK verr, %1, "null", 0, 0, {}
        LOOK verr, %1, "data_ro", kT0 | 3, 1, {DESC kT0, 0, 0xff, 0xf1, 0}
        LOOK verr, %1, "execute_only", kT0 | 3, 0, {DESC kT0, 0, 0xff, 0xf9, 0}
        LOOK verr, %1, "conforming_dpl0", kT0 | 3, 1, {DESC kT0, 0, 0xff, 0x9f, 0}
        LOOK verr, %1, "not_present", kT0 | 3, 1, {DESC kT0, 0, 0xff, 0x73, 0}
        LOOK verr, %1, "tss", kTss, 0, {}
        LOOK verr, %1, "dpl0_rpl3", kData32 | 3, 0, {}
        LOOK verw, %1, "data_rw", kUData, 1, {}
        LOOK verw, %1, "data_ro", kT0 | 3, 0, {DESC kT0, 0, 0xff, 0xf1, 0}
        LOOK verw, %1, "code", kUCode32, 0, {}
        LOOK verw, %1, "expand_down", kT0 | 3, 1, {DESC kT0, 0, 0xff, 0xf7, 0}
%endmacro
looks p32, 0, 0
looks q32, 3, 0
looks k64, 0, 1
looks u64, 3, 1
%macro LIMIT_OF 5               ; name, limit, flags, result, mode
        %defstr %%mode %5
        CASE {"segment.lsl.", %1, ".", %%mode}, "SDM2 LSL", %5
        DESC kT0, 0, %2, 0xf3, %3
        BODY
        FAULTS NONE
        WANT r_rdx, %4
        mov eax, kT0
        lsl edx, eax
        END
%endmacro
LIMIT_OF "byte_granular", 0xabcde, 4, 0xabcde, p32
LIMIT_OF "page_granular", 0xabcde, 0xc, 0xabcdefff, p32
LIMIT_OF "page_granular_zero", 0, 0x8, 0xfff, q32
LIMIT_OF "page_granular", 0xabcde, 0xc, 0xabcdefff, k64

; LLDT and LTR
%macro SYSREG 7                 ; instruction, mode, kind, selector, vector, error, {preparation}
        %defstr %%insn %1
        %defstr %%mode %2
        CASE {"segment.", %%insn, ".", %3, ".", %%mode}, "SDM2 LLDT, LTR", %2
        %7
        BODY
        FAULTS %5, %6
        mov ax, %4
%if %5 != NONE
        AT
%endif
        %1 ax
        END
%endmacro
%macro sysregs 2                ; mode, 1 in IA-32e mode
        SYSREG lldt, %1, "null", 0, NONE, 0, {}
        SYSREG lldt, %1, "null_rpl3", 3, NONE, 0, {}
        SYSREG lldt, %1, "in_ldt", 4, GP_, 4, {}
        SYSREG lldt, %1, "beyond", 0x1000, GP_, 0x1000, {}
        SYSREG lldt, %1, "data", kData32, GP_, kData32, {}
        SYSREG lldt, %1, "tss", kT0, GP_, kT0, {DESC kT0, 0, 0x67, 0x89, 0}
        SYSREG lldt, %1, "not_present", kT0, NP_, kT0, {DESC kT0, 0, 0x67, 0x02, 0}
        SYSREG lldt, %1, "good", kT0, NONE, 0, {DESC kT0, 0, 0x67, 0x82, 0}
        SYSREG ltr, %1, "null", 0, GP_, 0, {}
        SYSREG ltr, %1, "in_ldt", 4, GP_, 4, {}
        SYSREG ltr, %1, "beyond", 0x1000, GP_, 0x1000, {}
        SYSREG ltr, %1, "busy", kTss, GP_, kTss, {}
        SYSREG ltr, %1, "data", kData32, GP_, kData32, {}
        SYSREG ltr, %1, "ldt", kLdt, GP_, kLdt, {}
        SYSREG ltr, %1, "call_gate", kT0, GP_, kT0, {DESC kT0, 0, 0x67, 0x8c, 0}
        SYSREG ltr, %1, "not_present", kT0, NP_, kT0, {DESC kT0, 0, 0x67, 0x09, 0}
        SYSREG ltr, %1, "becomes_busy", kT0, NONE, 0, {DESC kT0, kTss32 + (kTss64 - kTss32) * %2, 0x67, 0x89, 0}
%endmacro
sysregs p32, 0
sysregs d32, 1
sysregs k64, 1
SYSREG ltr, p32, "16_bit", kT0, NONE, 0, {DESC kT0, kTss32, 0x67, 0x81, 0}
SYSREG ltr, k64, "16_bit", kT0, GP_, kT0, {DESC kT0, kTss64, 0x67, 0x81, 0}
SYSREG ltr, k64, "upper_half_beyond_limit", 0x178, GP_, 0x178, {DESC 0x178, kTss64, 0x67, 0x89, 0}
%macro upper_type 0
        DESC kT0, 0, 0x67, 0x82, 0
        mov dword [kGdt + kT0 + 12], 0x200
%endmacro
SYSREG lldt, k64, "upper_half_type", kT0, GP_, kT0, {upper_type}
image_done
