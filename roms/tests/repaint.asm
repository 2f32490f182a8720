; Paints all of a 1024 x 768 x 32 screen again and again, each time in another colour, and counts on
; COM1 how often: a line each 64 pictures. For measuring how many of them a window shows.

kImageSectors equ 64
%include "lib/boot.inc"
        jmp main
kFont   equ 0x3000
%define screen say
%include "tests/serial.inc"
%include "tests/screens_vbe.inc"

main:   call serial_init
        mov ax, 1024
        mov bx, 768
        mov cl, 32
        call set_vbe
        jc .none
        call big_segment
        xor ebp, ebp
        xor ebx, ebx
.again: mov eax, ebp
        mov edi, esi
        mov ecx, 1024 * 768
.next:  mov [gs:edi], eax
        add edi, 4
        dec ecx
        jnz .next
        add ebp, 0x010305
        inc bx
        test bx, 63
        jnz .again
        mov ax, bx
        call serial_number
        say 10
        jmp .again
.none:  say "no such mode", 10
.halt:  hlt
        jmp .halt

; screens_vbe.inc is for screens.asm, which has this.
fill:   ret

        image_end
