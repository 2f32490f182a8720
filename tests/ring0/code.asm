; Self-modifying and cross-modifying code: through every kind of store, aliases, page crossings, remaps.
%include "ring0.inc"

; Code at W (page kTarget) is changed through several ways; it returns a value in EAX.
; RET value: MOV EAX, n; RET
%macro put_code 2               ; address, value
        mov byte [%1], 0xb8
        mov dword [%1 + 1], %2
        mov byte [%1 + 5], 0xc3
%endmacro
%macro call_w 0
%if %$bits == 64
        mov ebx, W
        call rbx
%else
        mov ebx, W
        call ebx
%endif
%endmacro
%macro warm 0                   ; often enough that a translator takes it up
        mov ecx, 200
%%again:
        call_w
        dec ecx
        jnz %%again
%endmacro
%macro CHANGE 5+                ; kind, mode, wanted EAX, {preparation}, instructions
        %defstr %%mode %2
        CASE {"code.change.", %1, ".", %%mode}, "SDM3 11.6, 8.1.3", %2
        put_code kTarget, 0x11111111
        put_code kTarget + 0x1000, 0x33333333
        %4
        BODY
        FAULTS NONE
        WANT r_rax, %3
        call_w
        warm
        %5
        call_w
        END
%endmacro
%macro change_modes 1
        CHANGE "immediate", %1, 0x22222222, {}, {mov dword [dword W + 1], 0x22222222}
        CHANGE "immediate_byte", %1, 0x11112211, {}, {mov byte [dword W + 2], 0x22}
        CHANGE "opcode", %1, 0x11111112, {}, {call change_inc_%1}
        CHANGE "rep_movs", %1, 0x33333333, {}, {call change_movs_%1}
        CHANGE "rep_stos", %1, 0xb8b8b8b8, {}, {call change_stos_%1}
        CHANGE "alias_page", %1, 0x44444444, {alias_page}, {mov dword [dword W + 0x2001], 0x44444444}
        CHANGE "lock_xchg", %1, 0x55555555, {}, change_by_xchg
        CHANGE "lock_add", %1, 0x11111112, {}, {lock add dword [dword W + 1], 1}
        CHANGE "vector_store", %1, 0x33333333, {}, {call change_vector_%1}
        CHANGE "crossing_store", %1, 0x1111aa11, {}, {mov byte [dword W + 2], 0xaa}
        CHANGE "same_value", %1, 0x11111111, {}, {mov dword [dword W + 1], 0x11111111}
        CHANGE "push", %1, 0x66666666, {}, {call change_push_%1}
        CHANGE "x87_store", %1, 0x3f800000, {}, {call change_x87_%1}
%endmacro
%macro change_by_xchg 0
        mov eax, 0x55555555
        xchg [dword W + 1], eax
%endmacro
%macro alias_page 0
        mov dword [kW_pte + 16], kTarget | 7
        mov dword [kPt32T + 8], kTarget | 7
%endmacro
%macro helpers 2                ; mode, section
        section %2
change_inc_%1:
        mov byte [dword W + 5], 0x40            ; 64-bit: REX, else INC EAX
%if %$bits == 64
        mov word [dword W + 5], 0xc0ff          ; INC EAX
        mov byte [dword W + 7], 0xc3
%else
        mov byte [dword W + 6], 0xc3
%endif
        ret
change_movs_%1:
        mov esi, W + 0x1000
        mov edi, W
        mov ecx, 6
        rep movsb
        ret
change_stos_%1:
        mov edi, W + 1
        mov ecx, 4
        mov al, 0xb8
        rep stosb
        ret
change_vector_%1:
        movups xmm0, [dword W + 0x1000]
        movups [dword W], xmm0
        ret
change_push_%1:
%if %$bits == 64
        mov rdx, rsp
        mov esp, W + 9
        mov rax, [dword W + 1]
        mov ecx, 0x66666666
        shr rax, 32
        shl rax, 32
        or rax, rcx
        push rax
        mov rsp, rdx
%else
        mov edx, esp
        mov esp, W + 5
        push dword 0x66666666
        mov esp, edx
%endif
        ret
change_x87_%1:
        fld1
        fstp dword [dword W + 1]
        ret
%endmacro
%macro with_bits 3
%push helper
%xdefine %$bits %2
        bits %2
        helpers %1, %3
        bits 32
%pop
        section .text
%endmacro
with_bits g32, 32, .text
with_bits h32, 32, .utext
with_bits k64, 64, .text
with_bits u64, 64, .utext
with_bits c32, 32, .utext
change_modes g32
change_modes h32
change_modes k64
change_modes u64
change_modes c32
; The instruction right behind the store is the one that is changed (SDM3 11.6: the processor checks).
; MOV AH, 1 at W + 4 becomes MOV AH, 2: C6 43 05 02 B4 01 C3
%macro NEXT_INSTRUCTION 1
        %defstr %%mode %1
        CASE {"code.next_instruction.", %%mode}, "SDM3 11.6", %1
        mov dword [kTarget], 0x020543c6
        mov dword [kTarget + 4], 0xc3c301b4
        BODY
        FAULTS NONE
        WANT r_rax, 0x200, 0xff00
        call_w
        END
%endmacro
NEXT_INSTRUCTION g32
NEXT_INSTRUCTION h32
NEXT_INSTRUCTION a32
NEXT_INSTRUCTION c32
NEXT_INSTRUCTION k64
NEXT_INSTRUCTION u64
; The same in a loop: the changed byte counts up, so that the block is hot and always stale.
%macro COUNTING 1
        %defstr %%mode %1
        CASE {"code.counting_loop.", %%mode}, "SDM3 11.6", %1
        mov dword [kTarget], 0xb40443fe                 ; INC BYTE [EBX + 4]; MOV AH, imm
        mov dword [kTarget + 4], 0xc3c3c300
        BODY
        FAULTS NONE
        WANT r_rax, 200 << 8, 0xff00
        WANT r_rdx, 200 * 201 / 2
        mov ecx, 200
        xor edx, edx
%%again:
        call_w
        movzx eax, ah
        add edx, eax
        mov ah, al
        dec ecx
        jnz %%again
        END
%endmacro
COUNTING g32
COUNTING k64
COUNTING u64
; Code that crosses a page: the second page changes, is remapped, goes away.
CASE "code.cross_page.second_changes.k64", "SDM3 11.6", k64
        mov byte [kTarget + 0xffe], 0xb8
        mov dword [kTarget + 0xfff], 0x01010101
        mov byte [kTarget + 0x1003], 0xc3
        BODY
        FAULTS NONE
        WANT r_rax, 0x01020101
        mov ebx, W + 0xffe
        mov ecx, 200
%$again:
        call rbx
        dec ecx
        jnz %$again
        mov byte [abs W + 0x1001], 2
        call rbx
        END
CASE "code.cross_page.second_remapped.k64", "SDM3 4.10.4", k64
        mov byte [kTarget + 0xffe], 0xb8
        mov dword [kTarget + 0xfff], 0x01010101
        mov byte [kTarget + 0x1003], 0xc3
        mov dword [kTarget + 0x2000], 0xc3070707
        BODY
        FAULTS NONE
        WANT r_rax, 0x07070701
        mov ebx, W + 0xffe
        mov ecx, 200
%$again:
        call rbx
        dec ecx
        jnz %$again
        mov dword [abs kW_pte + 8], (kTarget + 0x2000) | 7
        invlpg [abs W + 0x1000]
        call rbx
        END
CASE "code.cross_page.second_goes.k64", "SDM3 4.7", k64
        mov byte [kTarget + 0xffe], 0xb8
        mov dword [kTarget + 0xfff], 0x01010101
        mov byte [kTarget + 0x1003], 0xc3
        BODY
        FAULTS PF_, 0x10
        WANT r_cr2, W + 0x1000
        WANT r_ip, W + 0xffe
        mov ebx, W + 0xffe
        mov ecx, 200
%$again:
        call rbx
        dec ecx
        jnz %$again
        mov dword [abs kW_pte + 8], 0
        invlpg [abs W + 0x1000]
        call rbx
        END
CASE "code.remap.other_mode_bits.k64", "SDM3 11.6", k64
        put_code kTarget, 0x11111111
        BODY
        FAULTS PF_, 0x11
        mov ebx, W
        mov ecx, 200
%$again:
        call rbx
        dec ecx
        jnz %$again
        mov dword [abs kW_pte + 4], 0x80000000
        invlpg [abs W]
        call rbx
        END
; The page tables write: the physical page under code changes by an ordinary identity mapping.
CASE "code.change.through_identity.k64", "SDM3 11.6", k64
        put_code kTarget, 0x11111111
        BODY
        FAULTS NONE
        WANT r_rax, 0x22222222
        call_w
        warm
        mov dword [abs kTarget + 1], 0x22222222
        call_w
        END
image_done
