; Fills the text screen again and again, each time with another letter and colour, and counts on COM1
; how often: a line each 1024 screens. For measuring how many of them a window shows.

kImageSectors equ 64
%include "lib/boot.inc"
        jmp main
%include "tests/serial.inc"

main:   call serial_init
        mov ax, 3
        int 0x10
        mov ax, 0xb800
        mov es, ax
        mov ax, 0x1741          ; grey A on blue
        xor bx, bx
.again: xor di, di
        mov cx, 80 * 25
        cld
        rep stosw
        add ax, 0x0101
        and ax, 0x7f5f
        inc bx
        test bx, 1023
        jnz .again
        push ax
        mov ax, bx
        call serial_number
        say 10
        pop ax
        jmp .again

        image_end
