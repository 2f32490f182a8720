; Segment limits and types of accesses: expand-up and expand-down, both granularities, wrap-around,
; code, stack, string instructions, real mode and virtual-8086 mode.
%include "ring0.inc"

; ACCESS name, mode, base, limit, access byte, flags, offset, size, vector, r|w
%macro ACCESS 10
        %defstr %%mode %2
        %defstr %%size %8
        %defstr %%kind %10
        CASE {"limit.", %1, ".", %%kind, %%size, ".", %%mode}, "SDM3 5.3", %2
        DESC kT0, %3, %4, %5, %6
        BODY
        FAULTS %9, 0
        mov ax, kT0 | 3
        mov fs, ax
        mov ebx, %7
%if %9 != NONE
        AT
%endif
        access_%10%8
        END
%endmacro
%macro access_r1 0
        a32 mov al, [fs:ebx]
%endmacro
%macro access_r2 0
        a32 mov ax, [fs:ebx]
%endmacro
%macro access_r4 0
        a32 mov eax, [fs:ebx]
%endmacro
%macro access_r8 0
        a32 movq mm0, [fs:ebx]
%endmacro
%macro access_r10 0
        a32 fld tword [fs:ebx]
%endmacro
%macro access_r16 0
        a32 movups xmm0, [fs:ebx]
%endmacro
%macro access_w1 0
        a32 mov [fs:ebx], al
%endmacro
%macro access_w2 0
        a32 mov [fs:ebx], ax
%endmacro
%macro access_w4 0
        a32 mov [fs:ebx], eax
%endmacro
%macro access_w8 0
        a32 movq [fs:ebx], mm0
%endmacro
%macro access_w16 0
        a32 movups [fs:ebx], xmm0
%endmacro
%macro sizes 7                  ; name, mode, base, limit value, flags, last byte, access byte
        ACCESS {%1, ".last_byte"}, %2, %3, %4, %7, %5, (%6), 1, NONE, r
        ACCESS {%1, ".beyond"}, %2, %3, %4, %7, %5, (%6) + 1, 1, GP_, r
        ACCESS {%1, ".beyond"}, %2, %3, %4, %7, %5, (%6) + 1, 1, GP_, w
        ACCESS {%1, ".fits"}, %2, %3, %4, %7, %5, (%6) - 1, 2, NONE, w
        ACCESS {%1, ".crosses"}, %2, %3, %4, %7, %5, (%6), 2, GP_, r
        ACCESS {%1, ".crosses"}, %2, %3, %4, %7, %5, (%6), 2, GP_, w
        ACCESS {%1, ".fits"}, %2, %3, %4, %7, %5, (%6) - 3, 4, NONE, r
        ACCESS {%1, ".crosses"}, %2, %3, %4, %7, %5, (%6) - 2, 4, GP_, r
        ACCESS {%1, ".crosses"}, %2, %3, %4, %7, %5, (%6) - 2, 4, GP_, w
        ACCESS {%1, ".fits"}, %2, %3, %4, %7, %5, (%6) - 7, 8, NONE, r
        ACCESS {%1, ".crosses"}, %2, %3, %4, %7, %5, (%6) - 6, 8, GP_, r
        ACCESS {%1, ".crosses"}, %2, %3, %4, %7, %5, (%6) - 6, 8, GP_, w
        ACCESS {%1, ".crosses"}, %2, %3, %4, %7, %5, (%6) - 8, 10, GP_, r
        ACCESS {%1, ".fits"}, %2, %3, %4, %7, %5, (%6) - 15, 16, NONE, w
        ACCESS {%1, ".crosses"}, %2, %3, %4, %7, %5, (%6) - 14, 16, GP_, w
%endmacro
sizes "byte", p32, kTarget, 0xabc, 4, 0xabc, 0xf3
sizes "byte", q32, kTarget, 0xabc, 4, 0xabc, 0xf3
sizes "byte", p16, kTarget, 0xabc, 0, 0xabc, 0xf3
sizes "byte", q16, kTarget, 0xabc, 4, 0xabc, 0xf3
sizes "byte", c32, W, 0xabc, 4, 0xabc, 0xf3
sizes "byte", c16, W, 0xabc, 4, 0xabc, 0xf3
sizes "page", q32, kTarget, 1, 0xc, 0x1fff, 0xf3
sizes "page", c32, W, 1, 0xc, 0x1fff, 0xf3

; Expand-down: the offsets above the limit are the good ones.
%macro down 4                   ; mode, base, flags, top
        ACCESS {"down.at_limit"}, %1, %2, 0xfff, 0xf7, %3, 0xfff, 1, GP_, r
        ACCESS {"down.zero"}, %1, %2, 0xfff, 0xf7, %3, 0, 1, GP_, w
        ACCESS {"down.above"}, %1, %2, 0xfff, 0xf7, %3, 0x1000, 1, NONE, r
        ACCESS {"down.above"}, %1, %2, 0xfff, 0xf7, %3, 0x1000, 4, NONE, w
        ACCESS {"down.from_below"}, %1, %2, 0xfff, 0xf7, %3, 0xffe, 4, GP_, r
        ACCESS {"down.from_below"}, %1, %2, 0xfff, 0xf7, %3, 0xfff, 2, GP_, w
        ACCESS {"down.top"}, %1, %2, 0xfff, 0xf7, %3, %4, 1, NONE, r
        ACCESS {"down.top"}, %1, %2, 0xfff, 0xf7, %3, %4 - 3, 4, NONE, r
        ACCESS {"down.over_top"}, %1, %2, 0xfff, 0xf7, %3, %4, 2, GP_, r
        ACCESS {"down.over_top"}, %1, %2, 0xfff, 0xf7, %3, %4 - 2, 4, GP_, w
%endmacro
down p32, kTarget, 4, 0xffffffff
down q32, kTarget, 4, 0xffffffff
ACCESS {"down16.top"}, q32, kTarget, 0xfff, 0xf7, 0, 0xffff, 1, NONE, r
ACCESS {"down16.top"}, q32, kTarget, 0xfff, 0xf7, 0, 0xfffc, 4, NONE, w
ACCESS {"down16.over_top"}, q32, kTarget, 0xfff, 0xf7, 0, 0x10000, 1, GP_, r
ACCESS {"down16.over_top"}, q32, kTarget, 0xfff, 0xf7, 0, 0xffff, 2, GP_, r
ACCESS {"down16.over_top"}, p32, kTarget, 0xfff, 0xf7, 0, 0xfffd, 4, GP_, w
ACCESS {"down_page.at_limit"}, q32, kTarget, 0, 0xf7, 0xc, 0xfff, 1, GP_, r
ACCESS {"down_page.above"}, q32, kTarget, 0, 0xf7, 0xc, 0x1000, 1, NONE, r
ACCESS {"down_full.empty"}, q32, kTarget, 0xfffff, 0xf7, 0xc, 0xffffffff, 1, GP_, r
ACCESS {"down16_full.empty"}, q32, kTarget, 0xffff, 0xf7, 0, 0xffff, 1, GP_, r
ACCESS {"zero.first_byte"}, q32, kTarget, 0, 0xf3, 4, 0, 1, NONE, r
ACCESS {"zero.second_byte"}, q32, kTarget, 0, 0xf3, 4, 1, 1, GP_, r
ACCESS {"zero.word"}, q32, kTarget, 0, 0xf3, 4, 0, 2, GP_, r
ACCESS {"flat.last_byte"}, p32, kTarget, 0xfffff, 0xf3, 0xc, 0xffffffff, 1, NONE, r
ACCESS {"type.read_only"}, p32, kTarget, 0xfff, 0xf1, 4, 0, 1, GP_, w
ACCESS {"type.read_only"}, q32, kTarget, 0xfff, 0xf1, 4, 0, 1, NONE, r
ACCESS {"type.read_only"}, q32, kTarget, 0xfff, 0xf1, 4, 0, 4, GP_, w
ACCESS {"type.read_only_down"}, q32, kTarget, 0xfff, 0xf5, 4, 0x1000, 4, GP_, w
ACCESS {"type.code"}, p32, kTarget, 0xfff, 0xfb, 4, 0, 1, GP_, w
ACCESS {"type.code"}, q32, kTarget, 0xfff, 0xfb, 4, 0, 4, GP_, w
ACCESS {"type.code"}, q32, kTarget, 0xfff, 0xfb, 4, 0, 4, NONE, r
ACCESS {"type.read_only"}, c32, W, 0xfff, 0xf1, 4, 0, 4, GP_, w
; CS overrides: execute-only code cannot be read, code cannot be written.
CASE "limit.type.cs_write.p32", "SDM3 5.5", p32
        BODY
        FAULTS GP_, 0
        AT
        mov [cs:kResults], al
        END
CASE "limit.type.cs_execute_only_read.p32", "SDM3 5.5", p32
        DESC kT0, 0, 0xfffff, 0x99, 0xc
        BODY
        FAULTS GP_, 0
        WANT r_cs, kT0
        mov dword [kResults], %$in
        mov word [kResults + 4], kT0
        jmp far dword [kResults]
%$in:
        AT
        mov al, [cs:kResults]
        END
; 64-bit mode: no limits, but FS and GS have bases, and types do not count.
CASE "limit.long.ds_limit_ignored.u64", "SDM3 5.3.1", u64
        DESC kT0, 0, 0xf, 0xf3, 4
        BODY
        FAULTS NONE
        mov ax, kT0 | 3
        mov ds, ax
        mov [abs kResults], al
        END
CASE "limit.long.ds_base_ignored.u64", "SDM3 3.4.4", u64
        DESC kT0, 0x500000, 0xfffff, 0xf3, 0xc
        BODY
        FAULTS NONE
        WANT r_rax, 0x1234
        mov dword [abs kResults], 0x1234
        mov ax, kT0 | 3
        mov ds, ax
        mov eax, [ds:abs kResults]
        END
CASE "limit.long.read_only_written.u64", "SDM3 5.5", u64
        DESC kT0, 0, 0xfffff, 0xf1, 0xc
        BODY
        FAULTS NONE
        mov ax, kT0 | 3
        mov ds, ax
        mov es, ax
        mov [abs kResults], al
        END
CASE "limit.long.fs_base_used_limit_not.u64", "SDM3 3.4.4", u64
        DESC kT0, kResults, 0, 0xf3, 4
        BODY
        FAULTS NONE
        WANT r_rax, 0x5678
        mov dword [abs kResults + 0x40], 0x5678
        mov ax, kT0 | 3
        mov fs, ax
        mov eax, [fs:abs 0x40]
        END
CASE "limit.long.cs_write.u64", "SDM3 5.5", u64
        BODY
        FAULTS NONE
        mov [cs:abs kResults], al
        END
CASE "limit.long.null_ds.u64", "SDM3 5.4.1.1", u64
        BODY
        FAULTS NONE
        xor eax, eax
        mov ds, ax
        mov es, ax
        mov fs, ax
        mov gs, ax
        mov [abs kResults], al
        mov al, [gs:abs kResults]
        END

; Stack accesses fault with #SS. Ring 3, so that the handler has another stack.
%macro STACK 7+                 ; name, mode, limit, access byte, flags, ESP, instruction
        %defstr %%mode %2
        CASE {"limit.stack.", %1, ".", %%mode}, "SDM3 5.3, 6.15 #SS", %2
        DESC kT0, kStackBase_%2, %3, %4, %5
        BODY
        FAULTS SS_, 0
        WANT r_sp, %6
        mov ax, kT0 | 3
        mov ss, ax
        mov esp, %6
        xor ebp, ebp
        AT
        %7
        END
%endmacro
kStackBase_q32 equ kTarget
kStackBase_q16 equ kTarget
kStackBase_c32 equ W
%macro stacks 1
        STACK "push_at_zero", %1, 0xfff, 0xf3, 4, 0, push eax
        STACK "push_beyond", %1, 0xfff, 0xf3, 4, 0x1001, {push dword 1}
        STACK "pop_at_end", %1, 0xfff, 0xf3, 4, 0xffe, pop eax
        STACK "pushad", %1, 0xfff, 0xf3, 4, 0x1c, pushad
        STACK "popad", %1, 0xfff, 0xf3, 4, 0xff0, popad
        STACK "call_near", %1, 0xfff, 0xf3, 4, 2, {call $}
        STACK "ret_near", %1, 0xfff, 0xf3, 4, 0xffe, o32 ret
        STACK "pushfd", %1, 0xfff, 0xf3, 4, 2, pushfd
        STACK "popfd", %1, 0xfff, 0xf3, 4, 0xffd, popfd
        STACK "enter", %1, 0xfff, 0xf3, 4, 2, {o32 enter 8, 0}
        STACK "push_down_segment", %1, 0xfff, 0xf7, 4, 0x1002, push eax
        STACK "retf", %1, 0xfff, 0xf3, 4, 0xffc, o32 retf
        STACK "iret", %1, 0xfff, 0xf3, 4, 0xff8, iretd
        STACK "push_es", %1, 0xfff, 0xf3, 4, 2, {o32 push fs}
        STACK "bp_read", %1, 0xfff, 0xf3, 4, 0x800, {a32 mov al, [ebp + esp + 0x1000]}
%endmacro
stacks q32
stacks c32
STACK "sp_one", q16, 0xffff, 0xf3, 0, 1, push ax
STACK "sp_wraps", q16, 0xfffd, 0xf3, 0, 0, push ax
CASE "limit.stack.sp_zero_wraps.q16", "SDM1 6.2.1", q16
        BODY
        FAULTS NONE
        WANT r_sp, 0xfffe, 0xffff
        mov sp, 0
        push ax
        END
CASE "limit.stack.leave_reads_bp.q32", "SDM2 LEAVE", q32
        DESC kT0, kTarget, 0xfff, 0xf3, 4
        BODY
        FAULTS SS_, 0
        mov ax, kT0 | 3
        mov ss, ax
        mov esp, 0x100
        mov ebp, 0xfff
        WANT r_sp, 0x100
        AT
        leave
        END
; BP, EBP and ESP mean SS, also under an index; a DS override makes it #GP.
%macro WHICH 4+
        CASE {"limit.which_segment.", %1}, "SDM1 3.7.4", q32
        DESC kT0, kTarget, 0xfff, 0xf3, 4
        BODY
        FAULTS %2, 0
        mov ax, kT0 | 3
        mov ss, ax
        mov ds, ax
        mov es, ax
        mov ebp, %3
        mov esp, ebp
        mov eax, ebp
        xor ecx, ecx
        AT
        %4
        END
%endmacro
WHICH "ebp", SS_, 0x1000, {mov dl, [ebp]}
WHICH "esp", SS_, 0x1000, {mov dl, [esp]}
WHICH "eax", GP_, 0x1000, {mov dl, [eax]}
WHICH "ebp_base_index", SS_, 0x1000, {mov dl, [ebp + ecx * 4]}
WHICH "ebp_index_scaled", GP_, 0x1000, {mov dl, [eax + ebp * 2]}
WHICH "eax_base_ebp_index", GP_, 0x1000, {mov dl, [eax + ebp * 1]}
WHICH "ds_override", GP_, 0x1000, {mov dl, [ds:ebp]}
WHICH "ss_override", SS_, 0x1000, {mov dl, [ss:eax]}
WHICH "bp", SS_, 0x1000, {a16 mov dl, [bp]}
WHICH "bp_si", SS_, 0x1000, {a16 mov dl, [bp + si]}
CASE "limit.which_segment.stos_es", "SDM1 3.7.4", q32
        DESC kT0, kTarget, 0xfff, 0xf3, 4
        BODY
        FAULTS GP_, 0
        mov ax, kT0 | 3
        mov es, ax
        mov edi, 0x1000
        AT
        ds stosb
        END
CASE "limit.which_segment.xlat", "SDM1 3.7.4", q32
        DESC kT0, kTarget, 0xfff, 0xf3, 4
        BODY
        FAULTS GP_, 0
        mov ax, kT0 | 3
        mov ds, ax
        mov ebx, 0xfff
        mov al, 1
        AT
        xlatb
        END

; String instructions: what was done stays done.
CASE "limit.string.rep_movsb.q32", "SDM2 REP; SDM3 6.5", q32
        DESC kT0, kTarget, 0xfff, 0xf3, 4
        BODY
        FAULTS GP_, 0
        WANT r_rcx, 12
        WANT r_rsi, 0x1000
        WANT r_rdi, 0x104
        WANT r_flags, 0x10000, 0x10000
        mov ax, kT0 | 3
        mov ds, ax
        mov es, ax
        mov esi, 0xffc
        mov edi, 0x100
        mov ecx, 16
        AT
        rep movsb
        END
CASE "limit.string.rep_stosd_crosses.q32", "SDM2 REP", q32
        DESC kT0, kTarget, 0xffd, 0xf3, 4
        BODY
        FAULTS GP_, 0
        WANT r_rcx, 7
        WANT r_rdi, 0xffc
        WANT kTarget + 0xffc, 0xc3c3c3c3
        WANT kTarget + 0xff8, 0
        mov ax, kT0 | 3
        mov es, ax
        mov edi, 0xff4
        mov ecx, 9
        xor eax, eax
        AT
        rep stosd
        END
CASE "limit.string.rep_movsb_backwards.q32", "SDM2 REP", q32
        DESC kT0, kTarget, 0xfff, 0xf7, 4
        BODY
        FAULTS GP_, 0
        WANT r_rcx, 6
        WANT r_rsi, 0xfff
        mov ax, kT0 | 3
        mov ds, ax
        mov esi, 0x1003
        mov edi, kResults + 0x20
        mov ecx, 10
        std
        AT
        rep movsb
        END
CASE "limit.string.zero_count.q32", "SDM2 REP", q32
        DESC kT0, kTarget, 0, 0xf3, 4
        BODY
        FAULTS NONE
        mov ax, kT0 | 3
        mov ds, ax
        mov esi, 0x1000
        xor ecx, ecx
        rep lodsb
        END
CASE "limit.string.lodsb_beyond.q32", "SDM3 5.3", q32
        DESC kT0, kTarget, 0xff, 0xf3, 4
        BODY
        FAULTS GP_, 0
        WANT r_rsi, 0x100
        mov ax, kT0 | 3
        mov ds, ax
        mov esi, 0x100
        AT
        lodsb
        END

; Code limits. The code lies at kTarget, selector kT0, limit 0Fh.
%macro CODE 8                   ; name, offset of the first instruction, bytes 0-3, 4-7, 8-11, 12-15, IP, ESP
        CASE {"limit.code.", %1, ".p32"}, "SDM3 5.3; SDM2 JMP, CALL, RET", p32
        DESC kT0, kTarget, 0xf, 0x9b, 4
        mov dword [kTarget], %3
        mov dword [kTarget + 4], %4
        mov dword [kTarget + 8], %5
        mov dword [kTarget + 12], %6
        BODY
        FAULTS GP_, 0
        WANT r_ip, %7
        WANT r_cs, kT0
        WANT r_sp, %8
        mov dword [kResults], %2
        mov word [kResults + 4], kT0
        mov eax, 0x10
        jmp far dword [kResults]
        END
%endmacro
CODE "falls_off", 14, 0, 0, 0, 0x90909090, 16, kStack0
CODE "instruction_crosses", 12, 0, 0, 0, 0x0000b890, 13, kStack0
CODE "jmp_short", 4, 0, 0x90900aeb, 0, 0, 4, kStack0
CODE "jmp_near", 4, 0, 0x0100e9, 0, 0, 4, kStack0
CODE "jcc_taken", 4, 0, 0x90900a74 + 1, 0, 0, 4, kStack0
CODE "call_near", 4, 0, 0x0100e8, 0, 0, 4, kStack0
CODE "jmp_register", 4, 0, 0x9090e0ff, 0, 0, 4, kStack0
CODE "call_register", 4, 0, 0x9090d0ff, 0, 0, 4, kStack0
CODE "push_ret", 4, 0, 0x9090c350, 0, 0, 5, kStack0 - 4
CODE "loop", 4, 0, 0x90900ae2, 0, 0, 4, kStack0
CODE "jmp_negative", 4, 0, 0x9090f0eb, 0, 0, 4, kStack0

; Real mode and virtual-8086 mode: 64 KiB everywhere.
%macro LOW 6+                   ; name, mode, vector, {before}, 0, instruction
        %defstr %%mode %2
        CASE {"limit.16bit.", %1, ".", %%mode}, "SDM3 20.1.1, 20.2.1", %2
        BODY
        FAULTS %3, 0
        %4
%if %3 != NONE
        AT
%endif
        %6
        END
%endmacro
%macro lows 1
        LOW "byte_ffff", %1, NONE, {mov bx, 0xffff}, 0, {mov al, [bx]}
        LOW "word_ffff", %1, GP_, {mov bx, 0xffff}, 0, {mov ax, [bx]}
        LOW "word_write_ffff", %1, GP_, {mov bx, 0xffff}, 0, {mov [bx], ax}
        LOW "dword_fffd", %1, GP_, {mov bx, 0xfffd}, 0, {mov eax, [bx]}
        LOW "dword_fffc", %1, NONE, {mov bx, 0xfffc}, 0, {mov eax, [bx]}
        LOW "offset32", %1, GP_, {mov ebx, 0x10000}, 0, {mov al, [ebx]}
        LOW "bp_word", %1, SS_, {mov bp, 0xffff}, 0, {mov ax, [bp]}
        LOW "lodsw", %1, GP_, {mov si, 0xffff}, 0, lodsw
        LOW "stosw", %1, GP_, {mov di, 0xffff}, 0, stosw
        LOW "index_wraps", %1, NONE, {mov bx, 0xffff}, 0, {mov al, [bx + 2]}
        LOW "les_ffff", %1, GP_, {mov bx, 0xffff}, 0, {les ax, [bx]}
        LOW "jmp_far_offset32", %1, GP_, {mov eax, 0x12345}, 0, {o32 jmp eax}
%endmacro
lows rm
lows v86
; The A20 gate: address bit 20 is zero while both port 92h and the keyboard controller keep it closed.
section .text
        bits 32
keyboard_a20:                   ; ah: DDh closes, DFh opens
        call .ready
        mov al, 0xd1
        out 0x64, al
        call .ready
        mov al, ah
        out 0x60, al
        call .ready
        mov al, 0xff            ; the write takes effect with the next command
        out 0x64, al
.ready: in al, 0x64
        test al, 2
        jnz .ready
        ret
%macro A20 5                    ; kind, value for port 92h, for the keyboard controller, wanted, mode
        CASE {"limit.a20.", %1}, "82371SB data sheet, port 92h; SDM3 8.7.13.4", %5
        mov dword [0x100000 + kResults], 0x22222222
        BODY
        FAULTS NONE
        WANT r_rbx, %4
        mov dword [kResults], 0x11111111
        mov ah, %3
        call keyboard_a20
        in al, 0x92
        and al, 0xfc
        or al, %2
        out 0x92, al
        mov ebx, [0x100000 + kResults]
        mov ah, 0xdf
        call keyboard_a20
        in al, 0x92
        and al, 0xfe
        or al, 2
        out 0x92, al
        END
%endmacro
A20 "closed", 0, 0xdd, 0x11111111, p32
A20 "open", 2, 0xdf, 0x22222222, p32
image_done
