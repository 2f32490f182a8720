; Far jumps, calls, returns, IRET and call gates: type, privilege, presence, limits, stacks of inner and
; outer levels, in protected mode and IA-32e mode.
%include "ring0.inc"

; Far pointer in the results page, then the transfer. mode decides the operand size of the pointer.
%macro far_pointer 2            ; selector, offset
        mov dword [dword kResults + 0x80], %2
        mov word [dword kResults + 0x84], %1
%endmacro
%macro far_insn 1
%ifidn %1,jmp
        jmp far dword [dword kResults + 0x80]
%else
        call far dword [dword kResults + 0x80]
%endif
%endmacro
; FAR jmp|call, mode, kind, selector, offset or here, vector, error, {preparation}
%macro FAR 8
        %defstr %%insn %1
        %defstr %%mode %2
        CASE {"transfer.", %%insn, ".", %3, ".", %%mode}, "SDM2 JMP, CALL; SDM3 5.8", %2
        %8
        BODY
        FAULTS %6, %7
%ifidn %5,here
        far_pointer %4, %%there
%else
        far_pointer %4, %5
%endif
%if %6 != NONE
        AT
%else
        WANT r_cs, ((%4) & 0xfffc) | ((%2_cpl) & 3)
%endif
        far_insn %1
        ud2
%%there:
        END
%endmacro
p32_cpl equ 0
q32_cpl equ 3
d32_cpl equ 0
c32_cpl equ 3
k64_cpl equ 0
u64_cpl equ 3
%define bit_of_p32 0x4
%define bit_of_q32 0x4
%define bit_of_d32 0x4
%define bit_of_c32 0x4
%define bit_of_k64 0x2
%define bit_of_u64 0x2

%macro far_of 4                 ; jmp|call, mode, CPL, IA-32e mode
%xdefine flags bit_of_%2 | 8
        FAR %1, %2, "null", 0, here, GP_, 0, {}
        FAR %1, %2, "null_rpl", 3, here, GP_, 0, {}
        FAR %1, %2, "beyond_gdt", 0x1000 | %3, here, GP_, 0x1000, {}
        FAR %1, %2, "beyond_ldt", 0x84 | %3, here, GP_, 0x84, {}
        FAR %1, %2, "data", kUData, here, GP_, kUData & ~3, {}
        FAR %1, %2, "empty", kT0 | %3, here, GP_, kT0, {}
        FAR %1, %2, "ldt_descriptor", kLdt | %3, here, GP_, kLdt, {}
        FAR %1, %2, "interrupt_gate", kT0 | %3, here, GP_, kT0, {DESC kT0, 0, 0xffff, 0xee, 0}
        FAR %1, %2, "same_level", kT0 | %3, here, NONE, 0, {DESC kT0, 0, 0xfffff, 0x9b | %3 << 5, flags}
        FAR %1, %2, "execute_only", kT0 | %3, here, NONE, 0, {DESC kT0, 0, 0xfffff, 0x99 | %3 << 5, flags}
        FAR %1, %2, "in_ldt", 4 | %3, here, NONE, 0, {DESC kLdtTable - kGdt, 0, 0xfffff, 0x9b | %3 << 5, flags}
        FAR %1, %2, "not_present", kT0 | %3, here, NP_, kT0, {DESC kT0, 0, 0xfffff, 0x1b | %3 << 5, flags}
        FAR %1, %2, "dpl_other", kT0 | %3, here, GP_, kT0, {DESC kT0, 0, 0xfffff, 0x9b | (3 - %3) << 5, flags}
        FAR %1, %2, "dpl_other_not_present", kT0 | %3, here, GP_, kT0, {DESC kT0, 0, 0xfffff, 0x1b | (3 - %3) << 5, flags}
        FAR %1, %2, "conforming_dpl0", kT0, here, NONE, 0, {DESC kT0, 0, 0xfffff, 0x9f, flags}
        FAR %1, %2, "conforming_dpl0_rpl3", kT0 | 3, here, NONE, 0, {DESC kT0, 0, 0xfffff, 0x9f, flags}
        FAR %1, %2, "conforming_not_present", kT0 | %3, here, NP_, kT0, {DESC kT0, 0, 0xfffff, 0x1f, flags}
%if %3 == 0
        FAR %1, %2, "rpl_above_cpl", kT0 | 3, here, GP_, kT0, {DESC kT0, 0, 0xfffff, 0x9b, flags}
        FAR %1, %2, "conforming_outer", kT0 | 3, here, GP_, kT0, {DESC kT0, 0, 0xfffff, 0xff, flags}
%else
        FAR %1, %2, "rpl_below_cpl", kT0, here, NONE, 0, {DESC kT0, 0, 0xfffff, 0xfb, flags}
        FAR %1, %2, "conforming_dpl3", kT0, here, NONE, 0, {DESC kT0, 0, 0xfffff, 0xff, flags}
%endif
%if %4
        FAR %1, %2, "l_and_d", kT0 | %3, here, GP_, kT0, {DESC kT0, 0, 0xfffff, 0x9b | %3 << 5, 0xe}
        FAR %1, %2, "tss", kTss | %3, here, GP_, kTss, {}
        FAR %1, %2, "task_gate", kT0 | %3, here, GP_, kT0, {DESC kT0, 0, kTask32, 0xe5, 0}
        FAR %1, %2, "call_gate16", kT0 | %3, here, GP_, kT0, {DESC kT0, 0, 0xffff, 0xe4, 0}
        FAR %1, %2, "tss16", kT0 | %3, here, GP_, kT0, {DESC kT0, 0, 0xffff, 0xe1, 0}
%else
        FAR %1, %2, "offset_beyond_limit", kT0 | %3, 0x1000, GP_, 0, {DESC kT0, 0, 0xfff, 0x9b | %3 << 5, 4}
        FAR %1, %2, "long_bit_ignored_type", kT0 | %3, here, NONE, 0, {DESC kT0, 0, 0xfffff, 0x9b | %3 << 5, 0xc}
%endif
%endmacro
far_of jmp, p32, 0, 0
far_of call, p32, 0, 0
far_of jmp, q32, 3, 0
far_of call, q32, 3, 0
far_of jmp, c32, 3, 1
far_of call, d32, 0, 1
far_of jmp, k64, 0, 1
far_of call, k64, 0, 1
far_of jmp, u64, 3, 1
far_of call, u64, 3, 1

; Call gates. Code of the gate's target is a handler in .text that ends the case.
section .text
[section .text16]
        bits 16
gate_target16:
        int kDone
__SECT__
        bits 32
gate_target:
        int kDone
        bits 64
gate_target64:
        int kDone
        bits 32
; GATED jmp|call, mode, kind, gate selector, vector, error, {preparation}
%macro GATED 7
        %defstr %%insn %1
        %defstr %%mode %2
        CASE {"transfer.", %%insn, ".gate.", %3, ".", %%mode}, "SDM2 CALL, JMP; SDM3 5.8.3 to 5.8.5", %2
        %7
        BODY
        FAULTS %5, %6
        far_pointer %4, 0xdeadbeef      ; the offset of the pointer is not used
%if %5 != NONE
        AT
%endif
        far_insn %1
        END
%endmacro
%macro gates_of 3               ; mode, CPL, target code selector
        GATED call, %1, "same_or_inner", kT0 | %2, NONE, 0, {GATE kT0, kCode32, gate_target, 0xec, 0}
        GATED call, %1, "dpl_below_rpl", kT0 | 3, GP_, kT0, {GATE kT0, kCode32, gate_target, 0xcc, 0}
        GATED call, %1, "not_present", kT0 | %2, NP_, kT0, {GATE kT0, kCode32, gate_target, 0x6c, 0}
        GATED call, %1, "not_present_and_dpl", kT0 | 3, GP_, kT0, {GATE kT0, kCode32, gate_target, 0x0c, 0}
        GATED call, %1, "null_target", kT0 | %2, GP_, 0, {GATE kT0, 0, gate_target, 0xec, 0}
        GATED call, %1, "null_target_rpl3", kT0 | %2, GP_, 0, {GATE kT0, 3, gate_target, 0xec, 0}
        GATED call, %1, "target_beyond_gdt", kT0 | %2, GP_, 0x1000, {GATE kT0, 0x1003, gate_target, 0xec, 0}
        GATED call, %1, "target_data", kT0 | %2, GP_, kData32, {GATE kT0, kData32, gate_target, 0xec, 0}
        GATED call, %1, "target_gate", kT0 | %2, GP_, kT0, {GATE kT0, kT0, gate_target, 0xec, 0}
        GATED call, %1, "target_not_present", kT0 | %2, NP_, kT1, {gate_not_present}
        GATED call, %1, "target_offset_beyond_limit", kT0 | %2, GP_, 0, {gate_small}
        GATED call, %1, "rpl_of_target_ignored", kT0 | %2, NONE, 0, {GATE kT0, kCode32 | 3, gate_target, 0xec, 0}
        GATED call, %1, "conforming", kT0 | %2, NONE, 0, {GATE kT0, kConforming, gate_target, 0xec, 0}
        GATED jmp, %1, "conforming", kT0 | %2, NONE, 0, {GATE kT0, kConforming, gate_target, 0xec, 0}
        GATED call, %1, "not_used_bits", kT0 | %2, NONE, 0, {GATE kT0, kCode32, gate_target, 0xec, 0xe0}
%endmacro
%macro gate_not_present 0
        GATE kT0, kT1, gate_target, 0xec, 0
        DESC kT1, 0, 0xfffff, 0x1b, 0xc
%endmacro
%macro gate_small 0
        GATE kT0, kT1, 0x1000, 0xec, 0
        DESC kT1, 0, 0xfff, 0x9b, 4
%endmacro
gates_of p32, 0, 0
gates_of q32, 3, 0
GATED jmp, p32, "same_level", kT0, NONE, 0, {GATE kT0, kCode32, gate_target, 0x8c, 0}
GATED jmp, q32, "inner", kT0 | 3, GP_, kCode32, {GATE kT0, kCode32, gate_target, 0xec, 0}
GATED call, p32, "dpl0_cpl0", kT0, NONE, 0, {GATE kT0, kCode32, gate_target, 0x8c, 0}
GATED call, q32, "dpl0_cpl3", kT0, GP_, kT0, {GATE kT0, kCode32, gate_target, 0x8c, 0}
; The stack of an inner level, ring 1 so that the exception itself finds a good one.
%macro gate_stack 1-4 0xb3, 0xfffff, 0xc        ; selector in the TSS; access, limit, flags of kT2
        GATE kT0, kT1, gate_target, 0xec, 0
        DESC kT1, 0, 0xfffff, 0xbb, 0xc
        DESC kT2, 0, %3, %2, %4
        mov dword [kTss32 + 0x0c], kTaskStack
        mov dword [kTss32 + 0x10], %1
%endmacro
GATED call, q32, "stack_good", kT0 | 3, NONE, 0, {gate_stack kT2 | 1}
GATED call, q32, "stack_null", kT0 | 3, TS_, 0, {gate_stack 1}
GATED call, q32, "stack_beyond_gdt", kT0 | 3, TS_, 0x1000, {gate_stack 0x1001}
GATED call, q32, "stack_rpl", kT0 | 3, TS_, kT2, {gate_stack kT2 | 2}
GATED call, q32, "stack_dpl", kT0 | 3, TS_, kT2, {gate_stack kT2 | 1, 0x93}
GATED call, q32, "stack_code", kT0 | 3, TS_, kT2, {gate_stack kT2 | 1, 0xbb}
GATED call, q32, "stack_read_only", kT0 | 3, TS_, kT2, {gate_stack kT2 | 1, 0xb1}
GATED call, q32, "stack_not_present", kT0 | 3, SS_, kT2, {gate_stack kT2 | 1, 0x33}
GATED call, q32, "stack_too_small", kT0 | 3, SS_, kT2, {gate_stack kT2 | 1, 0xb3, 0xfff, 4}
%macro gate_stack_tss 0
        gate_stack kT2 | 1
        mov word [kGdt + kTss], 0x10
%endmacro
GATED call, q32, "tss_too_small", kT0 | 3, TS_, kTss, {gate_stack_tss}
; What lies on the inner stack: parameters, old SS:ESP, CS:EIP.
CASE "transfer.call.gate.frame.q32", "SDM3 5.8.5, figure 5-13", q32
        gate_stack kT2 | 1
        mov byte [kGdt + kT0 + 4], 2
        BODY
        FAULTS NONE
        WANT kTaskStack - 4, kUData
        WANT kTaskStack - 8, kStack3 - 8
        WANT kTaskStack - 12, 0x11111111
        WANT kTaskStack - 16, 0x22222222
        WANT kTaskStack - 20, kUCode32
        WANT kTaskStack - 24, %$back
        WANT r_sp, kTaskStack - 24
        WANT r_ss, kT2 | 1
        WANT r_cs, kT1 | 1
        far_pointer kT0 | 3, 0
        push dword 0x11111111
        push dword 0x22222222
        call far dword [kResults + 0x80]
%$back:
        END
CASE "transfer.call.gate16.frame.q32", "SDM3 5.8.5", q32
        gate_stack kT2 | 1
        GATE kT0, kT1, gate_target16 - kBase + 0x50000, 0xe4, 1         ; words, 16-bit offset
        DESC kT1, kBase, 0xffff, 0xbb, 0
        BODY
        FAULTS NONE
        WANT kTaskStack - 2, kUData, 0xffff
        WANT kTaskStack - 4, kStack3 - 2, 0xffff
        WANT kTaskStack - 6, 0x1234, 0xffff
        WANT kTaskStack - 8, kUCode32, 0xffff
        far_pointer kT0 | 3, 0
        push word 0x1234
        call far dword [kResults + 0x80]
        END
CASE "transfer.call.gate.same_level_frame.p32", "SDM3 5.8.4", p32
        GATE kT0, kCode32, gate_target, 0xec, 3
        BODY
        FAULTS NONE
        WANT kStack0 - 4, kCode32
        WANT kStack0 - 8, %$back
        WANT r_sp, kStack0 - 8
        far_pointer kT0, 0
        call far dword [kResults + 0x80]
%$back:
        END

; Call gates of IA-32e mode: 16 bytes, the target is 64-bit code.
%macro long_gates 2             ; mode, CPL
        GATED call, %1, "good", kT0 | %2, NONE, 0, {GATE64 kGdt + kT0, kCode64, gate_target64, 0xec, 0}
        GATED call, %1, "target_compatibility", kT0 | %2, GP_, kCode32, {GATE64 kGdt + kT0, kCode32, gate_target, 0xec, 0}
        GATED call, %1, "target_l_and_d", kT0 | %2, GP_, kT2, {gate64_l_and_d}
        GATED call, %1, "upper_type", kT0 | %2, GP_, kT0, {gate64_upper}
        GATED call, %1, "offset_not_canonical", kT0 | %2, GP_, 0, {GATE64 kGdt + kT0, kCode64, gate_target64, 0xec, 0x8000}
        GATED call, %1, "not_present", kT0 | %2, NP_, kT0, {GATE64 kGdt + kT0, kCode64, gate_target64, 0x6c, 0}
        GATED call, %1, "dpl", kT0 | 3, GP_, kT0, {GATE64 kGdt + kT0, kCode64, gate_target64, 0x8c, 0}
        GATED call, %1, "null_target", kT0 | %2, GP_, 0, {GATE64 kGdt + kT0, 0, gate_target64, 0xec, 0}
        GATED call, %1, "upper_beyond_limit", 0x178 | %2, GP_, 0x178, {GATE64 kGdt + 0x178, kCode64, gate_target64, 0xec, 0}
        GATED call, %1, "target_not_present", kT0 | %2, NP_, kT2, {gate64_absent}
%endmacro
%macro gate64_l_and_d 0
        GATE64 kGdt + kT0, kT2, gate_target64, 0xec, 0
        DESC kT2, 0, 0xfffff, 0x9b, 0xe
%endmacro
%macro gate64_absent 0
        GATE64 kGdt + kT0, kT2, gate_target64, 0xec, 0
        DESC kT2, 0, 0xfffff, 0x1b, 0xa
%endmacro
%macro gate64_upper 0
        GATE64 kGdt + kT0, kCode64, gate_target64, 0xec, 0
        mov dword [kGdt + kT0 + 12], 0x200
%endmacro
long_gates k64, 0
long_gates u64, 3
long_gates c32, 3
long_gates d32, 0
CASE "transfer.call.gate.frame.u64", "SDM3 5.8.5.1", u64
        GATE64 kGdt + kT0, kCode64, gate_target64, 0xec, 0
        BODY
        FAULTS NONE
        WANT kTssStack - 8, kUData
        WANT64 kTssStack - 16, kStack3
        WANT kTssStack - 24, kUCode64
        WANT kTssStack - 32, %$back
        WANT r_ss, 0
        far_pointer kT0 | 3, 0
        call far dword [abs kResults + 0x80]
%$back:
        END

; Returns. Values are pushed in the width of the mode.
%macro pushv 1-*
%rep %0
        mov eax, %1
%if %$bits == 64
        push rax
%else
        push eax
%endif
%rotate 1
%endrep
%endmacro
%macro far_return 0
%if %$bits == 64
        db 0x48, 0xcb
%else
        retf
%endif
%endmacro
%macro int_return 0
%if %$bits == 64
        iretq
%else
        iret
%endif
%endmacro
; RET retf|iret, mode, kind, CS, SS or same, vector, error, {preparation} [, flags]
%macro RET 8-9 2
        %defstr %%insn %1
        %defstr %%mode %2
        CASE {"transfer.", %%insn, ".", %3, ".", %%mode}, "SDM2 RET, IRET", %2
        %8
        BODY
        FAULTS %6, %7
%ifnidn %5,same
        pushv %5, kStack3 - 0x40
%else
%ifidn %1,iret
%if %$bits == 64
        mov edx, esp
        pushv kData32, edx
%endif
%endif
%endif
%ifidn %1,iret
        pushv %9
%endif
        pushv %4, %%there
%if %6 != NONE
        AT
%else
        WANT r_cs, %4
%endif
%ifidn %1,iret
        int_return
%else
        far_return
%endif
        [section .utext]
%%there:
        int kDone
        __SECT__
        END
%endmacro
%macro ABSENT 1                 ; user code and stack that are not present; flags of the code
        DESC kT0, 0, 0xfffff, 0x7b, %1
        DESC kT1, 0, 0xfffff, 0x73, 0xc
%endmacro
%macro returns_of 4             ; insn, mode, IA-32e, user code selector
%xdefine flags bit_of_%2 | 8
        RET %1, %2, "null", 0, same, GP_, 0, {}
        RET %1, %2, "null_rpl3", 3, kUData, GP_, 0, {}
        RET %1, %2, "beyond_gdt", 0x1000, same, GP_, 0x1000, {}
        RET %1, %2, "data", kData32, same, GP_, kData32, {}
        RET %1, %2, "gate", kT0, same, GP_, kT0, {DESC kT0, 0, 0xffff, 0x8c, 0}
        RET %1, %2, "not_present", kT0, same, NP_, kT0, {DESC kT0, 0, 0xfffff, 0x1b, flags}
        RET %1, %2, "nonconforming_dpl_not_rpl", kT0, same, GP_, kT0, {DESC kT0, 0, 0xfffff, 0xbb, flags}
        RET %1, %2, "conforming_dpl_above_rpl", kT0, same, GP_, kT0, {DESC kT0, 0, 0xfffff, 0xff, flags}
        RET %1, %2, "same_level", kT0, same, NONE, 0, {DESC kT0, 0, 0xfffff, 0x9b, flags}
        RET %1, %2, "outer", %4, kUData, NONE, 0, {}
        RET %1, %2, "outer_conforming_dpl0", kT0 | 3, kUData, NONE, 0, {DESC kT0, 0, 0xfffff, 0x9f, flags}
        RET %1, %2, "outer_dpl0_rpl3", kT0 | 3, kUData, GP_, kT0, {DESC kT0, 0, 0xfffff, 0x9b, flags}
        RET %1, %2, "outer_stack_null", %4, 0, GP_, 0, {}
        RET %1, %2, "outer_stack_null_rpl3", %4, 3, GP_, 0, {}
        RET %1, %2, "outer_stack_beyond", %4, 0x1003, GP_, 0x1000, {}
        RET %1, %2, "outer_stack_rpl", %4, kUData & ~3, GP_, kUData & ~3, {}
        RET %1, %2, "outer_stack_dpl", %4, kData32 | 3, GP_, kData32, {}
        RET %1, %2, "outer_stack_read_only", %4, kT1 | 3, GP_, kT1, {DESC kT1, 0, 0xfffff, 0xf1, 0xc}
        RET %1, %2, "outer_stack_code", %4, kUCode32, GP_, kUCode32 & ~3, {}
        RET %1, %2, "outer_stack_not_present", %4, kT1 | 3, SS_, kT1, {DESC kT1, 0, 0xfffff, 0x73, 0xc}
; The stack is looked at last: type and privilege before presence, and CS before both.
        RET %1, %2, "outer_stack_not_present_rpl", %4, kT1, GP_, kT1, {DESC kT1, 0, 0xfffff, 0x73, 0xc}
        RET %1, %2, "outer_code_and_stack_not_present", kT0 | 3, kT1 | 3, NP_, kT0, {ABSENT flags}
%if %3
        RET %1, %2, "l_and_d", kT0, same, GP_, kT0, {DESC kT0, 0, 0xfffff, 0x9b, 0xe}
        RET %1, %2, "to_compatibility", kUCode32, kUData, NONE, 0, {}
%else
        RET %1, %2, "offset_beyond_limit", kT0, same, GP_, 0, {DESC kT0, 0, 0xfff, 0x9b, 4}
%endif
%endmacro
returns_of retf, p32, 0, kUCode32
returns_of iret, p32, 0, kUCode32
returns_of retf, k64, 1, kUCode64
returns_of iret, k64, 1, kUCode64
RET retf, q32, "inner", kCode32, same, GP_, kCode32, {}
RET iret, q32, "inner", kCode32, same, GP_, kCode32, {}
RET retf, u64, "inner", kCode64, same, GP_, kCode64, {}
RET iret, u64, "inner", kCode64, same, GP_, kCode64, {}
RET retf, q32, "same_level", kUCode32, same, NONE, 0, {}
RET iret, q32, "same_level", kUCode32, same, NONE, 0, {}
RET retf, u64, "same_level", kUCode64, same, NONE, 0, {}
; IRET of 64-bit mode loads SS without a change of privilege, too.
RET iret, k64, "same_level_stack_not_present", kCode64, kT1, SS_, kT1, {DESC kT1, 0, 0xfffff, 0x13, 0xc}
RET iret, u64, "same_level_stack_not_present", kUCode64, kT1 | 3, SS_, kT1, {DESC kT1, 0, 0xfffff, 0x73, 0xc}
RET iret, u64, "same_level_stack_read_only", kUCode64, kT1 | 3, GP_, kT1, {DESC kT1, 0, 0xfffff, 0xf1, 0xc}
RET iret, u64, "same_level_code_and_stack_not_present", kT0 | 3, kT1 | 3, NP_, kT0, {ABSENT 0xa}
RET iret, k64, "nested_task", kCode64, same, GP_, 0, {or dword [v_flags], 0x4000}
RET iret, d32, "nested_task", kCode32, same, GP_, 0, {or dword [v_flags], 0x4000}
RET iret, p32, "nested_task_back_link_null", kCode32, same, TS_, 0, {or dword [v_flags], 0x4000}

; Flags an IRET may change.
%macro IRETF 6                  ; kind, mode, flags before, flags in the frame, wanted, mask
        %defstr %%mode %2
        CASE {"transfer.iret.flags.", %1, ".", %%mode}, "SDM2 IRET", %2
        mov dword [v_flags], %3
        BODY
        FAULTS NONE
        WANT r_flags, %5, %6
%if %$bits == 64
        mov edx, esp
%ifidn %2,u64
        pushv kUData, edx
%else
        pushv kData32, edx
%endif
%endif
        pushv %4
        mov eax, cs
        pushv eax, %%there
        int_return
%%there:
        END
%endmacro
IRETF "all_cpl0", p32, 2, 0x243ed7, 0x243ed7, 0x247fd7
IRETF "all_cpl0", k64, 2, 0x243ed7, 0x243ed7, 0x247fd7
IRETF "iopl_cpl3", q32, 2, 0x3002, 2, 0x3000
IRETF "iopl_cpl3", u64, 2, 0x3002, 2, 0x3000
IRETF "if_cpl3_iopl0", q32, 2, 0x202, 2, 0x200
IRETF "if_cpl3_iopl0", u64, 2, 0x202, 2, 0x200
IRETF "if_cpl3_iopl3", q32, 0x3002, 0x3202, 0x3202, 0x3200
IRETF "if_cpl3_iopl3", u64, 0x3002, 0x3202, 0x3202, 0x3200
IRETF "vm_cpl3", q32, 2, 0x20002, 2, 0x20000
IRETF "vm_64", k64, 2, 0x20002, 2, 0x20000
IRETF "vip_cpl3", u64, 2, 0x100002, 2, 0x100000
IRETF "id", q32, 2, 0x200002, 0x200002, 0x200000
IRETF "reserved", p32, 2, 0xffc0802a & ~0x8000, 2, 0xffc0802a
IRETF "ac", u64, 2, 0x40002, 0x40002, 0x40000
; After a return outward the data segments of the inner level are gone.
%macro DROPS 3                  ; insn, mode, user code
        %defstr %%insn %1
        %defstr %%mode %2
        CASE {"transfer.", %%insn, ".drops_segments.", %%mode}, "SDM2 RET, IRET; SDM3 5.8.6", %2
        BODY
        FAULTS NONE
        WANT r_ds, 0
        WANT r_es, kUData
        WANT r_fs, kConforming
        WANT r_gs, 0
        mov ax, kUData
        mov es, ax
        mov ax, kConforming
        mov fs, ax
        xor ax, ax
        mov gs, ax
        pushv kUData, kStack3 - 0x40
%ifidn %1,iret
        pushv 2
%endif
        pushv %3, %%there
%ifidn %1,iret
        int_return
%else
        far_return
%endif
        [section .utext]
%%there:
        int kDone
        __SECT__
        END
%endmacro
; Null selectors of any RPL become 0 on the way out.
%macro CLEARS 3                 ; insn, mode, user code
        %defstr %%insn %1
        %defstr %%mode %2
        CASE {"transfer.", %%insn, ".clears_null_selectors.", %%mode}, "SDM2 RET, IRET", %2
        BODY
        FAULTS NONE
        WANT r_ds, 0
        WANT r_es, 0
        WANT r_fs, 0
        WANT r_gs, 0
        mov ax, 3
        mov es, ax
        mov fs, ax
        dec ax
        mov gs, ax
        pushv kUData, kStack3 - 0x40
%ifidn %1,iret
        pushv 2
%endif
        pushv %3, %%there
        mov ax, 1
        mov ds, ax
%ifidn %1,iret
        int_return
%else
        far_return
%endif
        [section .utext]
%%there:
        int kDone
        __SECT__
        END
%endmacro
CLEARS retf, p32, kUCode32
CLEARS iret, p32, kUCode32
CLEARS retf, k64, kUCode64
CLEARS iret, k64, kUCode64
DROPS retf, p32, kUCode32
DROPS iret, p32, kUCode32
DROPS retf, k64, kUCode64
DROPS iret, k64, kUCode64
section .text
CASE "transfer.retf.parameters.p32", "SDM2 RET", p32
        BODY
        FAULTS NONE
        WANT r_sp, kStack3 - 0x38
        pushv kUData, kStack3 - 0x40, 0, 0, kUCode32, %$there
        retf 8
        section .utext
%$there: int kDone
        section .text
        END
image_done
