; Draws every kind of VGA screen, one after the other. After each it sends the screen's name and a
; line feed on COM1 and waits for a byte from there; "end" is the last. Video memory is filled with
; a formula, so that whoever looks at the picture can compute what must be on it.
;
;   byte at offset o of plane p:   7 * (o & 255) + 13 * (o >> 8) + 85 * p + 29   (mod 256)
;   row r of character c:          37 * c + 29 * r                               (mod 256)
;   cell i of a text screen:       character i, attribute i + 17 * (i >> 8)      (mod 256)
;   doubleword i of a VBE screen:  9E3779B1h * i                                 (mod 2^32)

kImageSectors equ 64
%include "lib/boot.inc"

kFont equ 0x3000                ; segment of the fonts and of the VBE information

; screen NAME: the picture is complete.
%macro screen 1
        call show
        db %1, 10, 0
%endmacro
; put PORT, INDEX, VALUE: a register behind an index port.
%macro put 3
        mov dx, %1
        mov ax, (%3) << 8 | (%2)
        out dx, ax
%endmacro
kSequencer equ 0x3c4
kGraphics equ 0x3ce
kCrtc equ 0x3d4

begin:  jmp main

%include "tests/serial.inc"
%include "tests/screens_text.inc"
%include "tests/screens_graphics.inc"
%include "tests/screens_vbe.inc"

main:   call serial_init
        call make_fonts
        call text_screens
        call graphics_screens
        call trick_screens
        call vbe_screens
        screen "end"
.halt:  hlt
        jmp .halt

; Sends the text behind the call and waits for an answer.
show:   push bp
        mov bp, sp
        push ax
        push si
        mov si, [bp + 2]
.put:   cs lodsb
        test al, al
        jz .sent
        call serial_put
        jmp .put
.sent:  mov [bp + 2], si
        call serial_get
        pop si
        pop ax
        pop bp
        ret

; es:0 onwards, cx bytes (0: 64 KiB), for plane bl.
fill:   pusha
        cld
        xor di, di
        mov bh, 85
        mov al, bl
        mul bh
        add al, 29
        mov bl, al              ; what the plane adds
.next:  mov ax, di
        mov dl, ah
        mov dh, 7
        mul dh
        mov bh, al
        mov al, dl
        mov dh, 13
        mul dh
        add al, bh
        add al, bl
        stosb
        loop .next
        popa
        ret

        image_end
