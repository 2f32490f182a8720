; Task switches: by JMP, CALL, INT, exception and IRET; checks of the TSS descriptor and of the new
; task's segments; busy bit, NT, back link, TS, CR3, T bit; 16-bit TSSs.
%include "ring0.inc"

section .text
        bits 32
task_back:                      ; returns to the task that called
        iret
        jmp task_back
task_fault:                     ; the handler task of #TS: the error code lies on its stack
        pop dword [kResults + 0x20]
        mov dword [kResults + 0x24], esp
        push dword 0            ; a frame for the common handler
        push dword kCode32
        push dword 0
        push dword [kResults + 0x20]
        push dword TS_
        jmp common32

%macro far_task 2               ; jmp|call, selector
        mov word [kResults + 4], %2
        %1 far dword [kResults]
%endmacro
; Handler task for a vector, with its own TSS in the place of the 64-bit one.
%macro HANDLER 2                ; vector, entry
        DESC kT2, kTss64, 0x67, 0x89, 0
        mov dword [kTss64 + 0x20], %2
        mov dword [kTss64 + 0x24], 2
        mov dword [kTss64 + 0x38], kTaskStack - 0x200
        mov dword [kTss64 + 0x48], kData32
        mov dword [kTss64 + 0x4c], kCode32
        mov dword [kTss64 + 0x50], kData32
        mov dword [kTss64 + 0x54], kData32
        mov dword [kTss64 + 0x60], 0
        IDTGATE %1, kT2, 0, 0xe5
%endmacro

; SWITCH insn, mode, kind, selector, vector, error, {preparation}
%macro SWITCH 7
        %defstr %%insn %1
        %defstr %%mode %2
        CASE {"task.", %%insn, ".", %3, ".", %%mode}, "SDM3 7.3", %2
        %7
        BODY
        FAULTS %5, %6
        mov word [dword kResults + 4], %4
%if %5 != NONE
        AT
        WANT r_tr, kTss
%else
        WANT r_tr, (%4) & ~3, 0xfffc
%endif
        %1 far dword [dword kResults]
        END
%endmacro
%macro switches 3               ; insn, mode, CPL
        SWITCH %1, %2, "good", kTask32 | %3, NONE, 0, {open_task}
        SWITCH %1, %2, "good16", kTask16 | %3, NONE, 0, {open_task}
        SWITCH %1, %2, "busy", kT0 | %3, GP_, kT0, {DESC kT0, kTaskState, 0x67, 0xeb, 0}
        SWITCH %1, %2, "busy16", kT0 | %3, GP_, kT0, {DESC kT0, kTaskState16, 0x2b, 0xe3, 0}
        SWITCH %1, %2, "not_present", kT0 | %3, NP_, kT0, {DESC kT0, kTaskState, 0x67, 0x69, 0}
        SWITCH %1, %2, "dpl_below_rpl", kT0 | 3, GP_, kT0, {DESC kT0, kTaskState, 0x67, 0xc9, 0}
        SWITCH %1, %2, "limit", kT0 | %3, TS_, kT0, {DESC kT0, kTaskState, 0x66, 0xe9, 0}
        SWITCH %1, %2, "limit16", kT0 | %3, TS_, kT0, {DESC kT0, kTaskState16, 0x2a, 0xe1, 0}
        SWITCH %1, %2, "in_ldt", 4 | %3, GP_, 4, {DESC kLdtTable - kGdt, kTaskState, 0x67, 0xe9, 0}
        SWITCH %1, %2, "gate_not_present", kT0 | %3, NP_, kT0, {DESC kT0, kTask32 << 16, 0, 0x65, 0}
        SWITCH %1, %2, "gate_dpl", kT0 | 3, GP_, kT0, {gate_to kTask32, 0x85}
        SWITCH %1, %2, "gate_to_null", kT0 | %3, GP_, 0, {gate_to 0, 0xe5}
        SWITCH %1, %2, "gate_to_ldt_selector", kT0 | %3, GP_, 4, {gate_to 4, 0xe5}
        SWITCH %1, %2, "gate_to_data", kT0 | %3, GP_, kData32, {gate_to kData32, 0xe5}
        SWITCH %1, %2, "gate_to_beyond", kT0 | %3, GP_, 0x1000, {gate_to 0x1000, 0xe5}
        SWITCH %1, %2, "gate_to_busy", kT0 | %3, GP_, kTss, {gate_to kTss, 0xe5}
        SWITCH %1, %2, "gate_to_not_present", kT0 | %3, NP_, kT1, {gate_absent}
%endmacro
%macro open_task 0
        or byte [kGdt + kTask32 + 5], 0x60
        or byte [kGdt + kTask16 + 5], 0x60
%endmacro
%macro gate_to 2                ; selector, access
        mov dword [kGdt + kT0], (%1) << 16
        mov dword [kGdt + kT0 + 4], (%2) << 8
%endmacro
%macro gate_absent 0
        gate_to kT1, 0xe5
        DESC kT1, kTaskState, 0x67, 0x09, 0
%endmacro
switches jmp, p32, 0
switches call, p32, 0
switches jmp, q32, 3
switches call, q32, 3
%macro through_gate 3
        %defstr %%insn %1
        %defstr %%mode %2
        CASE {"task.", %%insn, ".gate_good.", %%mode}, "SDM3 7.3", %2
        gate_to kTask32, 0xe5
        BODY
        FAULTS NONE
        WANT r_tr, kTask32
        mov word [kResults + 4], kT0 | %3
        %1 far dword [kResults]
        END
%endmacro
through_gate jmp, p32, 0
through_gate call, p32, 0
through_gate jmp, q32, 3
through_gate call, q32, 3

; What a switch leaves behind.
CASE "task.jmp.effects", "SDM3 7.3, table 7-2", p32
        BODY
        FAULTS NONE
        WANT kGdt + kTss + 4, 0x8900, 0xff00            ; the old task is available
        WANT kGdt + kTask32 + 4, 0x8b00, 0xff00         ; the new one busy
        WANT r_flags, 0, 0x4000
        WANT kTaskState, 0, 0xffff                      ; no back link
        WANT kTss32 + 0x20, %$back
        WANT kTss32 + 0x24, 0x4002 & 2, 0x4000
        WANT kTss32 + 0x28, 0x11223344                  ; EAX
        WANT kTss32 + 0x38, kStack0
        WANT kTss32 + 0x4c, kCode32, 0xffff
        WANT kTss32 + 0x50, kData32, 0xffff
        WANT r_rcx, 0x55667788
        mov eax, 0x11223344
        mov dword [kTaskState + 0x2c], 0x55667788
        far_task jmp, kTask32
%$back:
        END
CASE "task.call.effects", "SDM3 7.3, table 7-2", p32
        BODY
        FAULTS NONE
        WANT kGdt + kTss + 4, 0x8b00, 0xff00
        WANT kGdt + kTask32 + 4, 0x8b00, 0xff00
        WANT r_flags, 0x4000, 0x4000
        WANT kTaskState, kTss, 0xffff
        WANT kTss32 + 0x24, 0, 0x4000
        far_task call, kTask32
        END
CASE "task.sets_ts", "SDM3 7.3", p32
        BODY
        FAULTS NM_
        mov dword [kTaskState + 0x20], %$new
        far_task jmp, kTask32
%$new:
        AT
        fninit
        END
CASE "task.registers", "SDM3 7.3", p32
        BODY
        FAULTS NONE
        WANT r_rax, 1
        WANT r_rcx, 2
        WANT r_rdx, 3
        WANT r_rbx, 4
        WANT r_rbp, 6
        WANT r_rsi, 7
        WANT r_rdi, 8
        WANT r_sp, kTaskStack
        WANT r_flags, 0x4ad7 & ~0x4000 & ~0x100, 0xad5
        mov dword [kTaskState + 0x24], 0xad7 & ~0x100
        mov dword [kTaskState + 0x28], 1
        mov dword [kTaskState + 0x2c], 2
        mov dword [kTaskState + 0x30], 3
        mov dword [kTaskState + 0x34], 4
        mov dword [kTaskState + 0x3c], 6
        mov dword [kTaskState + 0x40], 7
        mov dword [kTaskState + 0x44], 8
        far_task jmp, kTask32
        END
CASE "task.call_and_iret", "SDM3 7.4", p32
        mov dword [kTaskState + 0x20], task_back
        BODY
        FAULTS NONE
        WANT r_tr, kTss
        WANT r_rax, 0x1234
        WANT kGdt + kTask32 + 4, 0x8900, 0xff00
        WANT kGdt + kTss + 4, 0x8b00, 0xff00
        WANT kTaskState + 0x20, task_back + 1
        WANT kTaskState + 0x24, 0, 0x4000
        WANT r_flags, 0, 0x4000
        mov eax, 0x1234
        far_task call, kTask32
        END
CASE "task.call_twice", "SDM3 7.4", p32
        mov dword [kTaskState + 0x20], task_back
        BODY
        FAULTS NONE
        WANT r_tr, kTss
        far_task call, kTask32
        far_task call, kTask32
        END
CASE "task.call_and_iret16", "SDM3 7.6", p32
        mov word [kTaskState16 + 14], .back16 - kBase
        BODY
        FAULTS NONE
        WANT r_tr, kTss
        far_task call, kTask16
        jmp %$done
        section .text16
        bits 16
.back16: iret
        section .text
        bits 32
        END
%macro IRETS 4                  ; kind, vector, error, {preparation}
        CASE {"task.iret.", %1}, "SDM2 IRET, SDM3 7.3", p32
        %4
        or dword [v_flags], 0x4000
        BODY
        FAULTS %2, %3
%if %2 != NONE
        AT
%endif
        iret
        END
%endmacro
IRETS "link_null", TS_, 0, {}
IRETS "link_not_busy", TS_, kTask32, {mov word [kTss32], kTask32}
IRETS "link_data", TS_, kData32, {mov word [kTss32], kData32}
IRETS "link_beyond", TS_, 0x1000, {mov word [kTss32], 0x1000}
IRETS "link_in_ldt", TS_, 4, {mov word [kTss32], 4}
%macro link_absent 0
        mov word [kTss32], kT0
        DESC kT0, kTaskState, 0x67, 0x0b, 0
%endmacro
IRETS "link_not_present", NP_, kT0, {link_absent}
CASE "task.iret.link_busy", "SDM3 7.3", p32
        mov word [kTss32], kT0
        DESC kT0, kTaskState, 0x67, 0x8b, 0
        or dword [v_flags], 0x4000
        BODY
        FAULTS NONE
        WANT r_tr, kT0
        WANT kGdt + kTss + 4, 0x8900, 0xff00
        iret
        END

; Faults of the new task: the switch is done, CS:EIP are the new task's.
%macro NEWTASK 5                ; kind, vector, error, IP, {preparation}
        CASE {"task.new.", %1}, "SDM3 7.3, table 7-1", p32
        %5
        BODY
        FAULTS %2, %3
        WANT r_tr, kTask32
        WANT r_ip, %4
        WANT kGdt + kTask32 + 4, 0x8b00, 0xff00
        far_task jmp, kTask32
        END
%endmacro
%macro absent_ds 0
        DESC kT0, 0, 0xfffff, 0x13, 0xc
        mov dword [kTaskState + 0x54], kT0
%endmacro
%macro execute_only_es 0
        DESC kT0, 0, 0xfffff, 0x99, 0xc
        mov dword [kTaskState + 0x48], kT0
%endmacro
%macro absent_ldt 0
        DESC kT0, kLdtTable, 0x7f, 0x02, 0
        mov dword [kTaskState + 0x60], kT0
%endmacro
%macro absent_ss 0
        DESC kT0, 0, 0xfffff, 0x13, 0xc
        mov dword [kTaskState + 0x50], kT0
%endmacro
%macro absent_cs 0
        DESC kT0, 0, 0xfffff, 0x1b, 0xc
        mov dword [kTaskState + 0x4c], kT0
%endmacro
%macro small_code 0
        DESC kT0, 0, 0xfff, 0x9b, 4
        mov dword [kTaskState + 0x4c], kT0
        mov dword [kTaskState + 0x20], 0x2000
%endmacro
NEWTASK "ds_type", TS_, kTss, task_entry, {mov dword [kTaskState + 0x54], kTss}
NEWTASK "ds_beyond", TS_, 0x1000, task_entry, {mov dword [kTaskState + 0x54], 0x1000}
NEWTASK "ds_privilege", TS_, kData32, task_entry, {mov dword [kTaskState + 0x54], kData32 | 3}
NEWTASK "ds_not_present", NP_, kT0, task_entry, {absent_ds}
NEWTASK "es_execute_only", TS_, kT0, task_entry, {execute_only_es}
NEWTASK "gs_null", NONE, 0, task_entry + 2, {mov dword [kTaskState + 0x5c], 0}
NEWTASK "eip_beyond_limit", GP_, 0, 0x2000, {small_code}
CASE "task.new.t_bit", "SDM3 7.2.1, 17.3.1.5", p32
        mov word [kTaskState + 0x64], 1
        BODY
        FAULTS DB_
        WANT r_dr6, 0xffff8ff0
        WANT r_ip, task_entry
        WANT r_flags, 0, 0x10000
        far_task jmp, kTask32
        END
CASE "task.new.t_bit_call", "SDM3 7.2.1, 17.3.1.5", q32
        mov word [kTaskState + 0x64], 1
        or byte [kGdt + kTask32 + 5], 0x60
        BODY
        FAULTS DB_
        WANT r_dr6, 0x8000, 0xe00f
        mov word [kResults + 4], kTask32
        call far dword [kResults]
        END
CASE "task.clears_local_breakpoints", "SDM3 17.2.4", p32
        BODY
        FAULTS NONE
        WANT r_dr7, 0x4aa, 0x6ff        ; L0 to L3 go, G0 to G3 stay
        mov eax, 0xff
        mov dr7, eax
        far_task jmp, kTask32
        END
; Faults on the new CS and SS need a handler task: there is no stack.
%macro NOSTACK 4                ; kind, vector, error, {preparation}
        CASE {"task.new.", %1}, "SDM3 7.3, table 7-1", p32
        HANDLER %2, task_fault
        %4
        BODY
        FAULTS TS_, %3
        WANT r_tr, kT2
        WANT kTss64, kTask32, 0xffff
        far_task jmp, kTask32
        END
%endmacro
NOSTACK "ldt_data", TS_, kData32, {mov dword [kTaskState + 0x60], kData32}
NOSTACK "ldt_beyond", TS_, 0x1000, {mov dword [kTaskState + 0x60], 0x1000}
NOSTACK "ldt_in_ldt", TS_, 4, {mov dword [kTaskState + 0x60], 4}
NOSTACK "ldt_not_present", TS_, kT0, {absent_ldt}
NOSTACK "ss_null", TS_, 0, {mov dword [kTaskState + 0x50], 0}
NOSTACK "ss_beyond", TS_, 0x1000, {mov dword [kTaskState + 0x50], 0x1000}
NOSTACK "ss_code", TS_, kCode32, {mov dword [kTaskState + 0x50], kCode32}
NOSTACK "ss_rpl", TS_, kData32, {mov dword [kTaskState + 0x50], kData32 | 3}
NOSTACK "ss_dpl", TS_, kUData & ~3, {mov dword [kTaskState + 0x50], kUData & ~3}
NOSTACK "ss_not_present", SS_, kT0, {absent_ss}
NOSTACK "cs_null", TS_, 0, {mov dword [kTaskState + 0x4c], 0}
NOSTACK "cs_data", TS_, kData32, {mov dword [kTaskState + 0x4c], kData32}
NOSTACK "cs_beyond", TS_, 0x1000, {mov dword [kTaskState + 0x4c], 0x1000}
NOSTACK "cs_dpl_not_rpl", TS_, kUCode32 & ~3, {mov dword [kTaskState + 0x4c], kUCode32 & ~3}
NOSTACK "cs_not_present", NP_, kT0, {absent_cs}
; Interrupts and exceptions through task gates.
CASE "task.int.gate", "SDM3 6.12.2", q32
        HANDLER 0x60, task_entry
        BODY
        FAULTS NONE
        WANT r_tr, kT2
        WANT kTss64, kTss, 0xffff
        WANT r_flags, 0x4000, 0x4000
        WANT kTss32 + 0x20, %$after
        WANT kTss32 + 0x4c, kUCode32, 0xffff
        int 0x60
%$after:
        END
CASE "task.exception.gate_with_error", "SDM3 6.12.2, 6.13", q32
        HANDLER GP_, task_fault
        BODY
        FAULTS TS_, 0x50
        WANT kResults + 0x24, kTaskStack - 0x200
        WANT kTss32 + 0x20, %$bad
        WANT kTss32 + 0x24, 0x10000, 0x10000    ; RF in the saved flags
        WANT r_tr, kT2
        mov ax, 0x53 & ~3
%$bad:  mov ds, ax
        END
CASE "task.exception.double_fault_gate", "SDM3 6.15 #DF", p32
        HANDLER DF_, task_fault
        BODY
        FAULTS TS_, 0
        WANT r_tr, kT2
        WANT kTss32 + 0x38, 2                   ; the stack that could not be pushed to
        mov ax, kSmall
        mov ss, ax
        mov esp, 2
        push eax
        END
CASE "task.int.gate_dpl", "SDM3 6.12.1.1", q32
        HANDLER 0x60, task_entry
        mov byte [kIdt + 0x60 * 8 + 5], 0x85
        BODY
        FAULTS GP_, 0x302
        AT
        int 0x60
        END
CASE "task.int.gate_busy", "SDM3 7.3", q32
        IDTGATE 0x60, kTss, 0, 0xe5
        BODY
        FAULTS GP_, kTss
        AT
        int 0x60
        END
CASE "task.int.gate_from_v86", "SDM3 20.3.2", v86
        HANDLER 0x60, task_entry
        BODY
        FAULTS NONE
        WANT r_tr, kT2
        WANT kTss32 + 0x24, 0x20000, 0x20000
        WANT r_flags, 0x4000, 0x24000
        int 0x60
        END
CASE "task.to_v86", "SDM3 20.2.5", p32
        mov dword [kTaskState + 0x24], 0x23002
        mov dword [kTaskState + 0x20], %$low - kBase
        mov dword [kTaskState + 0x4c], kBase >> 4
        mov dword [kTaskState + 0x50], 0x200
        mov dword [kTaskState + 0x38], 0x700
        mov dword [kTaskState + 0x54], 0x1234
        mov dword [kTaskState + 4], kTssStack
        mov dword [kTaskState + 8], kData32
        BODY
        FAULTS NONE
        WANT r_ds, 0x1234
        WANT r_flags, 0x23002, 0x23002
        WANT r_sp, 0x700
        far_task jmp, kTask32
        section .text16
%$low:  bits 16
        int kDone
        section .text
        bits 32
        END
kPdT2 equ 0x20c000
CASE "task.loads_cr3", "SDM3 7.3", g32
        mov esi, kPd32
        mov edi, kPdT2
        mov ecx, 1024
        rep movsd
        mov dword [kTaskState + 0x1c], kPdT2
        BODY
        FAULTS PF_, 0
        mov al, [W]
        mov dword [kW_pte32], 0
        mov dword [kTaskState + 0x20], %$new
        far_task jmp, kTask32
%$new:
        AT
        mov al, [W]
        END
; IA-32e mode has no task switches.
ONEP "task.long.int_task_gate.k64", "SDM3 7.7", k64, GP_, 0x302, {mov byte [kIdt + 0x605], 0xe5}, int 0x60
image_done
