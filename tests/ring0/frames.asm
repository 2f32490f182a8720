; Frames and operands of another size: 16-bit gates, IRETW and IRETD in 64-bit mode, branches that cut
; EIP, stored selectors; POPF by privilege; a step that ends HLT.
%include "ring0.inc"

; 16-bit gates: IP, CS, FLAGS of 16 bits, with SP and SS from another level (SDM3 21.4).
[section .text16]
        bits 16
gate16_end:
        int kDone
        __SECT__
        bits 32
%macro at_gate16 1              ; vector, access
        IDTGATE %1, kCode16, gate16_end - kBase, 0xe6
%endmacro
CASE "gate.int16.frame.q32", "SDM3 6.12.1, 21.4", q32
        at_gate16 0x60
        BODY
        FAULTS NONE
        WANT r_cs, kCode16
        WANT r_sp, kTssStack - 10
        WANT kTssStack - 10, %$next - kBase, 0xffff
        WANT kTssStack - 8, kUCode32, 0xffff
        WANT kTssStack - 6, 2, 0x202
        WANT kTssStack - 4, (kStack3 & 0xffff) | kUData << 16
        WANT r_flags, 0, 0x200
        int 0x60
%$next:
        END
CASE "gate.int16.frame.p32", "SDM3 6.12.1, 21.4", p32
        at_gate16 0x60
        BODY
        FAULTS NONE
        WANT r_sp, kStack0 - 6
        WANT kStack0 - 6, %$next - kBase, 0xffff
        WANT kStack0 - 4, kCode32, 0xffff
        int 0x60
%$next:
        END
CASE "gate.int16.error_code.q32", "SDM3 6.12.1, 6.13, 21.4", q32
        at_gate16 GP_
        BODY
        FAULTS NONE
        WANT r_sp, kTssStack - 12
        WANT kTssStack - 12, 0, 0xffff          ; the error code has the gate's size too
        WANT kTssStack - 10, %$here - kBase, 0xffff
        WANT kTssStack - 8, kUCode32, 0xffff
%$here: hlt
        END
CASE "gate.int16.trap_keeps_if.p32", "SDM3 6.12.1.3", p32
        IDTGATE 0x60, kCode16, gate16_end - kBase, 0xe7
        mov dword [v_flags], 0x202
        BODY
        FAULTS NONE
        WANT r_flags, 0x200, 0x200
        int 0x60
        END
CASE "gate.int16.interrupt_clears_if.p32", "SDM3 6.12.1.3", p32
        at_gate16 0x60
        mov dword [v_flags], 0x202
        BODY
        FAULTS NONE
        WANT r_flags, 0, 0x200
        int 0x60
        END

; IRET of other sizes.
CASE "transfer.iretw.keeps_upper_flags.p32", "SDM2 IRET", p32
        or dword [v_flags], 0x240000            ; ID, AC
        BODY
        FAULTS NONE
        WANT r_flags, 0x240000, 0x240000
        WANT r_ip, gate16_landing + 2 - kBase
        WANT r_sp, kStack0
        mov ax, 2
        o16 push ax
        o16 push word kCode16
        o16 push word gate16_landing - kBase
        o16 iret
        [section .text16]
        bits 16
gate16_landing:
        int kDone
        __SECT__
        END
CASE "transfer.iretd.same_level_pops_stack.k64", "SDM2 IRET", k64
        BODY
        FAULTS NONE
        WANT r_cs, kCode64
        WANT r_sp, kStack0 - 0x40
        sub rsp, 20
        mov dword [rsp], %$there
        mov dword [rsp + 4], kCode64
        mov dword [rsp + 8], 2
        mov dword [rsp + 12], kStack0 - 0x40
        mov dword [rsp + 16], kData32
        iretd
        ud2
%$there:
        END
CASE "transfer.iretd.to_user.k64", "SDM2 IRET", k64
        BODY
        FAULTS NONE
        WANT r_cs, kUCode64
        WANT r_ss, kUData
        WANT r_sp, kStack3 - 0x20
        sub rsp, 20
        mov dword [rsp], user_landing
        mov dword [rsp + 4], kUCode64
        mov dword [rsp + 8], 2
        mov dword [rsp + 12], kStack3 - 0x20
        mov dword [rsp + 16], kUData
        iretd
        [section .utext]
user_landing:
        int kDone
        __SECT__
        END
CASE "transfer.iretw.to_16_bit_code.k64", "SDM2 IRET", k64
        BODY
        FAULTS NONE
        WANT r_cs, kUCode16
        WANT r_ss, kUData16
        WANT r_sp, 0x2700, 0xffff
        WANT r_ip, user16_landing + 2 - kBase
        sub rsp, 10
        mov word [rsp], user16_landing - kBase
        mov word [rsp + 2], kUCode16
        mov word [rsp + 4], 2
        mov word [rsp + 6], 0x2700
        mov word [rsp + 8], kUData16
        o16 iret
        [section .utext]
        bits 16
user16_landing:
        int kDone
        __SECT__
        END
CASE "transfer.retf.default_size.k64", "SDM2 RET", k64        ; 32 bits without REX.W
        BODY
        FAULTS NONE
        WANT r_cs, kCode64
        WANT r_sp, kStack0
        sub rsp, 8
        mov dword [rsp], %$there
        mov dword [rsp + 4], kCode64
        retf
        ud2
%$there:
        END
CASE "transfer.retf.size16.k64", "SDM2 RET", k64
        BODY
        FAULTS NONE
        WANT r_cs, kCode16
        WANT r_sp, kStack0
        sub rsp, 4
        mov word [rsp], gate16_landing - kBase
        mov word [rsp + 2], kCode16
        o16 retf
        END

; Branches with a 16-bit operand size in 32-bit code end below 64 KiB (SDM2 JMP, CALL, RET).
%macro CUT 3+                   ; name, r_sp, instructions
        CASE {"transfer.cut16.", %1, ".q32"}, "SDM2 JMP, CALL, RET, Jcc", q32
        mov edi, kResults
        mov ecx, 0x400
        mov ax, 0x7fcd                  ; INT kDone
        rep stosw
        BODY
        FAULTS NONE
        WANT r_ip, kResults + 0x402
        WANT r_sp, %2
        %3
        END
%endmacro
%define kCut kBase + kResults + 0x400   ; its lower half is where INT kDone lies
%macro cut_jmp 0
        jmp word kCut
%endmacro
%macro cut_jcc 0
        xor eax, eax
        db 0x66
        bits 16
        jz near kCut
        bits 32
%endmacro
%macro cut_call 0
        call word kCut
%endmacro
%macro cut_ret 0
        push dword 0xffff0000 | (kResults + 0x400)
        o16 ret
%endmacro
%macro cut_jmp_register 0
        mov eax, 0xffff0000 | (kResults + 0x400)
        jmp ax
%endmacro
%macro cut_jcc_not_taken 0
        xor eax, eax
        db 0x66
        bits 16
        jnz near kCut
        bits 32
        jmp near kResults + 0x400
%endmacro
CUT "jmp", kStack3, cut_jmp
CUT "jcc", kStack3, cut_jcc
CUT "call", kStack3 - 2, cut_call
CUT "ret", kStack3 - 2, cut_ret
CUT "jmp_register", kStack3, cut_jmp_register
CUT "jcc_not_taken", kStack3, cut_jcc_not_taken

; POPF by privilege (SDM2 table 4-16).
%macro POPF 5                   ; name, mode, pushed value, wanted, mask
        %defstr %%mode %2
        CASE {"flags.popf.", %1, ".", %%mode}, "SDM2 POPF", %2
        BODY
        FAULTS NONE
        WANT r_flags, %4, %5
%if %$bits == 64
        push %3
        popfq
%else
        push dword %3
        popfd
%endif
        END
%endmacro
%macro popf_privilege 1
        POPF "if_iopl_ignored", %1, 0x3202, 0, 0x3200
        POPF "id_ac_nt", %1, 0x244002, 0x244002, 0x244002
        POPF "vm_rf_ignored", %1, 0x30002, 0, 0x30000
        POPF "reserved", %1, 0x7fc0802a & 0x7fffffff, 2, 0xffc0802a
%endmacro
popf_privilege q32
popf_privilege u64
POPF "if_iopl", p32, 0x3202, 0x3202, 0x3202
POPF "vm_rf_ignored", p32, 0x30002, 0, 0x30000
POPF "if_iopl", k64, 0x3202, 0x3202, 0x3202
CASE "flags.popf.iopl3_if.q32", "SDM2 POPF", q32
        mov dword [v_flags], 0x3002
        BODY
        FAULTS NONE
        WANT r_flags, 0x3200, 0x3200
        push dword 0x202                        ; IF by IOPL, IOPL stays
        popfd
        END
CASE "flags.popf.word_keeps_upper.p32", "SDM2 POPF", p32
        or dword [v_flags], 0x240000
        BODY
        FAULTS NONE
        WANT r_flags, 0x240000, 0x240000
        WANT r_sp, kStack0
        push word 2
        o16 popf
        END

; HLT ends at once when it is stepped; an interrupt and a step at one boundary.
%macro HLT_STEP 1
        %defstr %%mode %1
        CASE {"debug.step.hlt.", %%mode}, "SDM2 HLT; SDM3 6.9, 17.3.1.4", %1
        mov dword [v_goes_on], 1 << DB_
        mov dword [v_flags], 0x102
        mov dword [v_clear], 0x100
        BODY
        FAULTS NONE
        WANT r_count, 2
        WANT kLog + 4, %$behind - %$origin
        WANT kLog + 12, 0xffff4ff0
        hlt
%$behind:
        nop
        END
%endmacro
HLT_STEP rm
HLT_STEP p32
HLT_STEP k64

; Selectors of LAR, STR, SMSW and MOV: upper halves and 16 bits in memory.
CASE "segment.store.upper_halves.k64", "SDM2 STR, SLDT, SMSW, MOV", k64
        BODY
        FAULTS NONE
        WANT64 r_rax, kTss
        WANT64 r_rcx, kLdt
        WANT64 r_rdx, kData32
        WANT r_rbx, 0x80000011, 0x80000011
        WANT r_rbx + 4, 0
        WANT64 r_rsi, 0x1122334455660000 | kTss
        WANT kResults, 0xaaaa0000 | kTss
        WANT kResults + 4, 0xaaaa0000 | kData32
        mov rax, -1
        mov rcx, rax
        mov rdx, rax
        mov rbx, rax
        mov rsi, 0x1122334455667788
        str eax
        sldt ecx
        mov edx, ss
        smsw ebx
        o16 str si
        mov dword [abs kResults], 0xaaaaaaaa
        mov dword [abs kResults + 4], 0xaaaaaaaa
        str [abs kResults]
        mov [abs kResults + 4], ss
        END
image_done
