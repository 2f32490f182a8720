; A mouse pointer in mode 13h, driven through the BIOS (INT 15h, AX=C2xxh). "ready" on COM1, then
; after each packet its place and its buttons, for instance "160 100 0". The pointer is a block of
; five by five around the place, in colour 8 + buttons; the rest of the screen has colour y mod 8.

kImageSectors equ 64
%include "lib/boot.inc"
        jmp main
%include "tests/serial.inc"

main:   call serial_init
        mov ax, 0x13
        int 0x10
        mov ax, 0xa000
        mov es, ax
        call draw

        mov ax, 0xc205          ; packets of three bytes
        mov bh, 3
        int 0x15
        jc .failed
        xor ax, ax
        mov es, ax
        mov ax, 0xc207
        mov bx, packet
        int 0x15
        jc .failed
        mov ax, 0xc200
        mov bh, 1
        int 0x15
        jc .failed
        say "ready", 10
.wait:  hlt
        mov al, [came]
        cmp al, [shown]
        je .wait
        mov [shown], al
        mov ax, 0xa000
        mov es, ax
        call draw
        mov ax, [x]
        call serial_number
        say " "
        mov ax, [y]
        call serial_number
        say " "
        movzx ax, byte [buttons]
        call serial_number
        say 10
        jmp .wait
.failed:
        say "no mouse", 10
.halt:  hlt
        jmp .halt

; Called by the BIOS with status, X, Y and Z on the stack.
packet: push bp
        mov bp, sp
        push ds
        pusha
        xor ax, ax
        mov ds, ax
        mov cx, [bp + 12]       ; status
        mov al, cl
        and al, 7
        mov [buttons], al
        mov ax, [bp + 10]
        xor ah, ah
        test cl, 0x10           ; sign of X
        jz .right
        mov ah, 0xff
.right: add [x], ax
        mov ax, [bp + 8]
        xor ah, ah
        test cl, 0x20           ; sign of Y, which counts upwards
        jz .up
        mov ah, 0xff
.up:    sub [y], ax
        cmp word [x], 2
        jge .x1
        mov word [x], 2
.x1:    cmp word [x], 317
        jle .x2
        mov word [x], 317
.x2:    cmp word [y], 2
        jge .y1
        mov word [y], 2
.y1:    cmp word [y], 197
        jle .y2
        mov word [y], 197
.y2:    inc byte [came]
        popa
        pop ds
        pop bp
        retf

draw:   xor di, di
        xor bx, bx
.line:  mov al, bl
        and al, 7
        mov cx, 320
        rep stosb
        inc bx
        cmp bx, 200
        jb .line
        mov ax, [y]
        sub ax, 2
        mov bx, 320
        mul bx
        mov di, ax
        add di, [x]
        sub di, 2
        mov al, [buttons]
        or al, 8
        mov bl, 5
.row:   mov cx, 5
        rep stosb
        add di, 315
        dec bl
        jnz .row
        ret

x:      dw 160
y:      dw 100
buttons: db 0
came:   db 0
shown:  db 0

        image_end
