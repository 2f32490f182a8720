; Debugging: single steps, RF, breakpoints on execution, data and I/O, general detect, the shadow of
; MOV SS and POP SS, DR6 and DR7.
%include "ring0.inc"

section .text
held_target:
        int kDone
kStepped equ 0xffff4ff0         ; DR6 after a single step
B0 equ 0xffff0ff1
B1 equ 0xffff0ff2
B2 equ 0xffff0ff4
B3 equ 0xffff0ff8
BD equ 0xffff2ff0

; Saved IP, DR6 of the logged event N.
%macro LOGGED 3                 ; number, IP label, DR6
        WANT kLog + 32 * (%1) + 4, %2 - %$origin
        WANT kLog + 32 * (%1) + 12, %3
%endmacro
%macro CASE_DB 4                ; name, section, mode, flags
        CASE {%1}, %2, %3
        mov dword [v_goes_on], 1 << DB_
        or dword [v_flags], %4
%endmacro
%macro steps 1
        %defstr %%mode %1
        CASE_DB {"debug.step.three.", %%mode}, "SDM3 17.3.1.4", %1, 0x100
        BODY
        FAULTS NONE
        WANT r_count, 4
        LOGGED 0, %$a, kStepped
        LOGGED 1, %$b, kStepped
        LOGGED 2, %$c, kStepped
        WANT kLog + 16, 0x100, 0x100            ; TF is set in the saved flags
        nop
%$a:    inc eax
%$b:    mov ecx, eax
%$c:
        END
        CASE_DB {"debug.step.handler_without_tf.", %%mode}, "SDM3 17.3.1.4", %1, 0x100
        BODY
        FAULTS NONE
        WANT r_hflags, 0, 0x100
        nop
        END
        CASE_DB {"debug.step.rep_movsb.", %%mode}, "SDM3 17.3.1.4", %1, 0x100
        BODY
        FAULTS NONE
        WANT r_count, 6
        WANT r_rcx, 0
        LOGGED 2, %$rep, kStepped
        LOGGED 3, %$rep, kStepped
        LOGGED 4, %$done, kStepped
        mov esi, kResults
        mov ecx, 3
%$rep:  rep lodsb
        END
        CASE_DB {"debug.step.rep_zero.", %%mode}, "SDM3 17.3.1.4", %1, 0x100
        BODY
        FAULTS NONE
        WANT r_count, 2
        LOGGED 0, %$done, kStepped
        rep lodsb
        END
        CASE_DB {"debug.step.jump.", %%mode}, "SDM3 17.3.1.4", %1, 0x100
        BODY
        FAULTS NONE
        WANT r_count, 3
        LOGGED 0, %$there, kStepped
        jmp %$there
        ud2
%$there: nop
        END
        CASE_DB {"debug.step.mov_ss.", %%mode}, "SDM3 6.8.3", %1, 0x100
        BODY
        FAULTS NONE
        WANT r_count, 4
        LOGGED 0, %$b, kStepped
        LOGGED 1, %$d, kStepped
        LOGGED 2, %$done, kStepped
        mov ax, ss
%$b:    mov ss, ax              ; no trap behind this one
        nop
%$d:    nop
        END
        CASE {"debug.popf.sets_tf.", %%mode}, "SDM3 17.3.1.4", %1
        mov dword [v_goes_on], 1 << DB_
        BODY
        FAULTS NONE
        WANT r_count, 2
        LOGGED 0, %$b, kStepped
        pushf_mode
        or_tf
        popf_mode
        nop                     ; the trap comes behind this one
%$b:
        END
        CASE_DB {"debug.popf.clears_tf.", %%mode}, "SDM3 17.3.1.4", %1, 0x100
        BODY
        FAULTS NONE
        WANT r_count, 4
        LOGGED 2, %$b, kStepped
        WANT kLog + 64 + 16, 0, 0x100
        pushf_mode
        and_tf
        popf_mode
%$b:    nop
        nop
        END
        CASE {"debug.step.fault_wins.", %%mode}, "SDM3 6.9", %1
        or dword [v_flags], 0x100
        BODY
        FAULTS UD_
        WANT r_count, 1
        WANT r_flags, 0x100, 0x100
        AT
        ud2
        END
        CASE {"debug.step.int_ends_it.", %%mode}, "SDM2 INT n", %1
        or dword [v_flags], 0x100
        BODY
        FAULTS NONE
        WANT r_count, 1
        END
        CASE_DB {"debug.icebp.no_dr6.", %%mode}, "SDM2 INT1; SDM3 17.3.1", %1, 0
        BODY
        FAULTS NONE
        WANT r_count, 2
        LOGGED 0, %$done, 0xffff0ff0
        db 0xf1
        END
%endmacro
%macro pushf_mode 0
%if %$bits == 64
        pushfq
%else
        pushf
%endif
%endmacro
%macro popf_mode 0
%if %$bits == 64
        popfq
%else
        popf
%endif
%endmacro
%macro or_tf 0
%if %$bits == 64
        or word [rsp], 0x100
%elif %$bits == 32
        or word [esp], 0x100
%else
        mov bp, sp
        or word [bp], 0x100
%endif
%endmacro
%macro and_tf 0
%if %$bits == 64
        and word [rsp], ~0x100
%elif %$bits == 32
        and word [esp], ~0x100
%else
        a32 and word [esp], ~0x100
%endif
%endmacro
steps rm
steps v86
steps p32
steps q32
steps c32
steps k64
steps u64
CASE_DB {"debug.step.pop_ss.q32"}, "SDM3 6.8.3", q32, 0x100
        BODY
        FAULTS NONE
        WANT r_count, 4
        LOGGED 0, %$b, kStepped
        LOGGED 1, %$d, kStepped
        push ss
%$b:    pop ss
        nop
%$d:    nop
        END
CASE_DB {"debug.step.sti_no_shadow.k64"}, "SDM2 STI", k64, 0x100
        BODY
        FAULTS NONE
        WANT r_count, 3
        LOGGED 0, %$b, kStepped
        sti
%$b:    cli
        END
CASE_DB {"debug.step.iret_same_level.k64"}, "SDM2 IRET", k64, 0
        BODY
        FAULTS NONE
        WANT r_count, 2
        LOGGED 0, %$b, kStepped
        mov eax, ss
        mov edx, esp
        push rax
        push rdx
        push 0x102
        mov eax, cs
        push rax
        push %$a
        iretq
%$a:    nop
%$b:
        END
CASE_DB {"debug.step.syscall_masks_tf.u64"}, "SDM2 SYSCALL", u64, 0x100
        set_msr 0xc0000082, .entry, 0
        set_msr 0xc0000084, 0x100, 0
        BODY
        FAULTS NONE
        WANT r_count, 1
        syscall
        section .text
.entry: int kDone
        section .text
        END

; Breakpoints: DR0 at an address, DR7; logged events. WATCH mode, kind, address, DR7, count, {insns}
%macro arm 3                    ; register, address, DR7
        mov eax, %2
        mov %1, eax
        mov eax, %3
        mov dr7, eax
%endmacro
%macro EXECUTE 1
        %defstr %%mode %1
        CASE_DB {"debug.execute.fault.", %%mode}, "SDM3 17.3.1.1", %1, 0
        arm dr0, %$here, 0x402
        mov dword [v_set], 0x10000
        BODY
        FAULTS NONE
        WANT r_count, 2
        WANT r_rax, 1
        LOGGED 0, %$here, B0
        WANT kLog + 16, 0, 0x10000      ; RF of an instruction breakpoint is not set
        xor eax, eax
%$here: inc eax
        END
        CASE_DB {"debug.execute.disabled.", %%mode}, "SDM3 17.2.4", %1, 0
        arm dr0, %$here, 0x400
        BODY
        FAULTS NONE
        WANT r_count, 1
%$here: nop
        END
        CASE_DB {"debug.execute.dr3_local.", %%mode}, "SDM3 17.2.4", %1, 0
        arm dr3, %$here, 0x440
        mov dword [v_set], 0x10000
        BODY
        FAULTS NONE
        WANT r_count, 2
        LOGGED 0, %$here, B3
        nop
%$here: nop
        END
        CASE_DB {"debug.execute.not_in_the_middle.", %%mode}, "SDM3 17.3.1.1", %1, 0
        arm dr0, %$here + 1, 0x402
        BODY
        FAULTS NONE
        WANT r_count, 1
%$here: mov eax, 1
        END
        CASE_DB {"debug.execute.rf_lasts_one.", %%mode}, "SDM3 17.3.1.1", %1, 0
        arm dr0, %$here, 0x402
        mov dword [v_set], 0x10000
        BODY
        FAULTS NONE
        WANT r_count, 4                 ; three turns, each with its fault
        mov ecx, 3
%$here: dec ecx
        jnz %$here
        END
        CASE_DB {"debug.execute.rep_string.", %%mode}, "SDM3 17.3.1.1, 2.3 RF", %1, 0
        arm dr0, %$here, 0x402
        mov dword [v_set], 0x10000
        BODY
        FAULTS NONE
        WANT r_count, 2                 ; RF stays until the last iteration
        mov esi, kResults
        mov ecx, 4
%$here: rep lodsb
        END
        CASE_DB {"debug.execute.two_match.", %%mode}, "SDM3 17.2.3", %1, 0
        arm dr0, %$here, 0
        arm dr2, %$here, 0x422
        mov dword [v_set], 0x10000
        BODY
        FAULTS NONE
        WANT r_count, 2
        LOGGED 0, %$here, B0 | B2
%$here: nop
        END
        CASE_DB {"debug.execute.before_fault.", %%mode}, "SDM3 6.9", %1, 0
        arm dr1, %$here, 0x408
        mov dword [v_set], 0x10000
        BODY
        FAULTS UD_
        WANT r_count, 2
        LOGGED 0, %$here, B1
%$here: ud2
        END
%endmacro
EXECUTE p32
EXECUTE q32
EXECUTE c32
EXECUTE k64
EXECUTE u64

%macro WATCH 7+                 ; mode, kind, address, DR7, events, offset of the first event's IP or after, instruction
        %defstr %%mode %1
        CASE_DB {"debug.data.", %2, ".", %%mode}, "SDM3 17.2.4, 17.3.1.2", %1, 0
        arm dr0, %3, 0x402 | (%4) << 16
        BODY
        FAULTS NONE
        WANT r_count, 1 + %5
%if %5 == 1
        LOGGED 0, %$done, B0
%endif
        mov ebx, kResults
        mov ecx, 2
        mov esi, ebx
        %7
        END
%endmacro
kW1 equ 1
kW2 equ 5
kW4 equ 13
kW8 equ 9
kRw1 equ 3
kRw2 equ 7
kRw4 equ 15
%macro data_breaks 1
        WATCH %1, "write1", kResults, kW1, 1, 0, {mov [ebx], al}
        WATCH %1, "write1_read", kResults, kW1, 0, 0, {mov al, [ebx]}
        WATCH %1, "write1_other", kResults, kW1, 0, 0, {mov [ebx + 1], al}
        WATCH %1, "write1_in_dword", kResults + 3, kW1, 1, 0, {mov [ebx], eax}
        WATCH %1, "write1_behind_dword", kResults + 4, kW1, 0, 0, {mov [ebx], eax}
        WATCH %1, "write2_second", kResults, kW2, 1, 0, {mov [ebx + 1], al}
        WATCH %1, "write2_third", kResults, kW2, 0, 0, {mov [ebx + 2], al}
        WATCH %1, "write4_last", kResults, kW4, 1, 0, {mov [ebx + 3], al}
        WATCH %1, "write4_beyond", kResults, kW4, 0, 0, {mov [ebx + 4], al}
        WATCH %1, "write4_crossing", kResults + 4, kW4, 1, 0, {mov [ebx + 2], eax}
        WATCH %1, "write4_length_aligns", kResults + 2, kW4, 1, 0, {mov [ebx], al}
        WATCH %1, "rw1_read", kResults, kRw1, 1, 0, {mov al, [ebx]}
        WATCH %1, "rw1_write", kResults, kRw1, 1, 0, {mov [ebx], al}
        WATCH %1, "rw4_read_part", kResults, kRw4, 1, 0, {mov al, [ebx + 2]}
        WATCH %1, "rw4_lea", kResults, kRw4, 0, 0, {lea eax, [ebx]}
        WATCH %1, "modify", kResults, kW4, 1, 0, {inc dword [ebx]}
        WATCH %1, "xchg", kResults, kW4, 1, 0, {xchg [ebx], eax}
        WATCH %1, "cmp", kResults, kW4, 0, 0, {cmp [ebx], eax}
        WATCH %1, "cmp_rw", kResults, kRw4, 1, 0, {cmp [ebx], eax}
        WATCH %1, "vector", kResults + 12, kW4, 1, 0, {movups [ebx], xmm0}
        WATCH %1, "fst", kResults + 4, kW4, 1, 0, {fnstsw [ebx + 4]}
%endmacro
data_breaks p32
data_breaks q32
data_breaks k64
data_breaks u64
WATCH u64, "write8_last", kResults, kW8, 1, 0, {mov [rbx + 7], al}
WATCH u64, "write8_beyond", kResults, kW8, 0, 0, {mov [rbx + 8], al}
WATCH u64, "write8_qword", kResults, kW8, 1, 0, {mov [rbx], rax}
WATCH k64, "push", kStack0 - 8, kW8, 1, 0, push rax
CASE_DB {"debug.data.rep_stosb.k64"}, "SDM3 17.3.1.2", k64, 0
        arm dr0, kResults + 2, 0x402 | kW1 << 16
        BODY
        FAULTS NONE
        WANT r_count, 2
        WANT kLog + 4, %$rep            ; between iterations: IP of the instruction
        WANT r_rcx, 0
        mov edi, kResults
        mov ecx, 5
%$rep:  rep stosb
        END
CASE_DB {"debug.data.with_step.k64"}, "SDM3 17.2.3", k64, 0x100
        arm dr1, kResults, 0x408 | kW1 << 20
        BODY
        FAULTS NONE
        WANT r_count, 3
        LOGGED 0, %$b, kStepped | 2
        mov [abs kResults], al
%$b:    nop
        END
CASE_DB {"debug.data.deferred_by_mov_ss.q32"}, "SDM3 6.8.3, 17.3.1.2", q32, 0
        mov dword [kResults], kUData
        arm dr0, kResults, 0x402 | kRw2 << 16
        BODY
        FAULTS NONE
        WANT r_count, 2
        LOGGED 0, %$b, B0
        mov ss, [kResults]
        nop
%$b:    nop
        END
CASE {"debug.data.fault_no_trap.k64"}, "SDM3 6.9", k64
        arm dr0, W + 0x5000, 0x402 | kW1 << 16
        BODY
        FAULTS PF_, 2
        WANT r_count, 1
        WANT r_dr6, 0, 0x4000
        AT
        mov [abs W + 0x5000], al
        END
; The trap that MOV SS holds off is taken on the first instruction of the handler that INT n enters.
%macro HELD 4+                  ; kind, mode, stub, instructions
        CASE {"debug.data.mov_ss_then_", %1}, "SDM3 6.8.3", %2
        mov dword [kResults], kUData
        arm dr0, kResults, 0x402 | kRw2 << 16
        BODY
        FAULTS DB_
        WANT r_ip, %3
        WANT r_dr6, 1, 0xf
        mov ss, [dword kResults]
        %4
        END
%endmacro
HELD "int3.q32", q32, stubs32 + 16 * BP_, int3
HELD "int3.u64", u64, stubs64 + 16 * BP_, int3
HELD "int_n.q32", q32, stubs32 + 16 * kDone, int kDone
CASE_DB {"debug.step.call_gate.q32"}, "SDM3 17.3.1.4", q32, 0x100
        GATE kT0, kCode32, held_target, 0xec, 0
        BODY
        FAULTS NONE
        WANT r_count, 4
        WANT kLog + 64 + 4, held_target
        mov word [kResults + 4], kT0
        nop
        call far dword [kResults]
        END
; Between two iterations the saved RF is 1, behind the last one it is 0.
%macro rep_flag 1
        %defstr %%mode %1
        CASE_DB {"debug.rf.between_steps.", %%mode}, "SDM3 17.3.1.1", %1, 0x100
        BODY
        FAULTS NONE
        WANT r_count, 6
        LOGGED 2, %$rep, kStepped
        LOGGED 3, %$rep, kStepped
        LOGGED 4, %$done, kStepped
        WANT kLog + 32 + 16, 0, 0x10000
        WANT kLog + 64 + 16, 0x10000, 0x10000
        WANT kLog + 96 + 16, 0x10000, 0x10000
        WANT kLog + 128 + 16, 0, 0x10000
        mov esi, kResults
        mov ecx, 3
%$rep:  rep lodsb
        END
        CASE_DB {"debug.rf.between_data_breaks.", %%mode}, "SDM3 17.3.1.1", %1, 0
        arm dr0, kResults + 2, 0x402 | kW1 << 16
        BODY
        FAULTS NONE
        WANT r_count, 2
        LOGGED 0, %$rep, B0
        WANT kLog + 16, 0x10000, 0x10000
        WANT r_rcx, 0
        mov edi, kResults
        mov ecx, 5
%$rep:  rep stosb
        END
        CASE_DB {"debug.rf.behind_last_data_break.", %%mode}, "SDM3 17.3.1.1", %1, 0
        arm dr0, kResults + 4, 0x402 | kW1 << 16
        BODY
        FAULTS NONE
        WANT r_count, 2
        LOGGED 0, %$done, B0
        WANT kLog + 16, 0, 0x10000
        mov edi, kResults
        mov ecx, 5
        rep stosb
        END
%endmacro
; IA32_DEBUGCTL.BTF: steps end at branches; the exception clears it.
%macro branch_step 1
        %defstr %%mode %1
        CASE_DB {"debug.step.branches.", %%mode}, "SDM3 18.4.3", %1, 0x100
        set_msr 0x1d9, 2, 0
        BODY
        FAULTS NONE
        WANT r_count, 3
        LOGGED 0, %$there, kStepped
        LOGGED 1, %$done, kStepped
        xor eax, eax
        jnz %$there             ; not taken
        nop
        jmp %$there
        ud2
%$there: nop                    ; every instruction again
        END
        CASE_DB {"debug.step.branch_to_next.", %%mode}, "SDM3 18.4.3", %1, 0x100
        set_msr 0x1d9, 2, 0
        BODY
        FAULTS NONE
        WANT r_count, 3
        LOGGED 0, %$there, kStepped
        nop
        call %$there
%$there: nop
        END
%endmacro
rep_flag p32
rep_flag q32
rep_flag c32
rep_flag k64
rep_flag u64
branch_step p32
branch_step q32
branch_step k64
branch_step u64
; I/O breakpoints need CR4.DE.
%macro PORTS 5+                 ; kind, DR7 bits, CR4 bits, events, instructions
        CASE_DB {"debug.io.", %1, ".k64"}, "SDM3 17.2.4, 17.3.1.2", k64, 0
        or dword [v_cr4], %3
        mov eax, 8
        mov cr4, eax                    ; DR7 takes the I/O encoding
        arm dr0, 0x80, 0x402 | (%2) << 16
        BODY
        FAULTS NONE
        WANT r_count, 1 + %4
%if %4
        LOGGED 0, %$done, B0
%endif
        mov edx, 0x80
        %5
        END
%endmacro
PORTS "out", 2, 8, 1, {out 0x80, al}
PORTS "out_dx", 2, 8, 1, {out dx, al}
PORTS "in", 2, 8, 1, {in al, 0x80}
PORTS "other_port", 2, 8, 0, {out 0x84, al}
PORTS "memory_same_number", 2, 8, 0, {mov al, [abs 0x1080]}
PORTS "word_second", 6, 8, 1, {out 0x81, al}
PORTS "word_third", 6, 8, 0, {in al, 0x84}
; General detect
%macro DETECT 3+
        CASE {"debug.gd.", %1, ".k64"}, "SDM3 17.2.4 GD, 17.3.1.3", k64
        mov eax, 0x2400
        mov dr7, eax
        BODY
        FAULTS DB_
        WANT r_dr6, BD
        WANT r_dr7, 0x400, 0x2400       ; the processor clears GD for the handler
        AT
        %3
        END
%endmacro
DETECT "read_dr0", 0, mov rax, dr0
DETECT "write_dr3", 0, mov dr3, rax
DETECT "read_dr6", 0, mov rax, dr6
DETECT "write_dr7", 0, mov dr7, rax
; RF cannot be set by POPF and is not seen in PUSHF.
CASE "debug.rf.popf_ignores.k64", "SDM2 POPF", k64
        arm dr0, %$here, 0x402
        BODY
        FAULTS DB_
        WANT r_ip, %$here
        pushfq
        or dword [rsp], 0x10000
        popfq
%$here: nop
        END
CASE "debug.rf.pushf_clear.k64", "SDM2 PUSHF", k64
        or dword [v_flags], 0x10000
        BODY
        FAULTS NONE
        WANT r_rax, 0, 0x30000
        pushfq
        pop rax
        END
CASE "debug.rf.iret_sets_for_first.k64", "SDM3 17.3.1.1", k64
        arm dr0, %$body, 0x402
        or dword [v_flags], 0x10000
        BODY
        FAULTS NONE
        WANT r_count, 1
        nop
        END
CASE "debug.execute.after_mov_ss.q32", "SDM3 6.8.3", q32
        arm dr0, %$here, 0x402
        mov dword [v_goes_on], 1 << DB_
        BODY
        FAULTS NONE
        WANT r_count, 1                 ; inhibited
        mov ax, ss
        mov ss, ax
%$here: nop
        END
CASE "debug.dr7.exact_bits_keep.k64", "SDM3 17.2.4", k64
        BODY
        FAULTS NONE
        WANT r_rbx, 0x700, 0x7ff
        mov eax, 0x300
        mov dr7, rax
        mov rbx, dr7
        END
image_done
