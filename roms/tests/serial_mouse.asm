; A serial mouse on COM2, found and read as DOS drivers do: without power for a while, then DTR and
; RTS, then its letters, "mouse MZ" on COM1. Bytes come by IRQ 3. After each packet its movement and
; its buttons in the order left, right, middle: for instance "12 65533 4 15".

kImageSectors equ 64
kCom2   equ 0x2f8
%include "lib/boot.inc"
        jmp main
%include "tests/serial.inc"

main:   call serial_init
        mov dx, kCom2 + 3       ; 1200 baud, seven data bits, one stop bit
        mov al, 0x80
        out dx, al
        mov dx, kCom2
        mov al, 96
        out dx, al
        inc dx
        xor al, al
        out dx, al
        mov dx, kCom2 + 3
        mov al, 0x02
        out dx, al
        mov dx, kCom2 + 4       ; no power
        xor al, al
        out dx, al
        mov cx, 4
        call ticks
        mov dx, kCom2           ; whatever came before
        in al, dx
        mov dx, kCom2 + 4       ; power; OUT2 for the interrupt
        mov al, 0x0b
        out dx, al
        mov di, letters
        mov cx, 4               ; of a tick, some 200 ms
        xor ax, ax
        mov ds, ax
        mov bx, [0x46c]
.letter:
        mov dx, kCom2 + 5
        in al, dx
        test al, 1
        jz .none
        mov dx, kCom2
        in al, dx
        mov [di], al
        inc di
.none:  mov ax, [0x46c]
        sub ax, bx
        cmp ax, cx
        jb .letter
        mov byte [di], 0
        say "mouse "
        mov si, letters
.put:   lodsb
        test al, al
        jz .named
        call serial_put
        jmp .put
.named: say 10

        cli
        mov word [(8 + 3) * 4], interrupt
        mov word [(8 + 3) * 4 + 2], 0
        in al, 0x21
        and al, ~0x08
        out 0x21, al
        mov dx, kCom2 + 1       ; received data
        mov al, 1
        out dx, al
        sti
.wait:  hlt
        mov al, [came]
        cmp al, [shown]
        je .wait
        inc byte [shown]
        movzx ax, byte [packet] ; X7 X6 and X5..X0
        shl al, 6
        or al, [packet + 1]
        cbw
        call serial_number
        say " "
        mov al, [packet]        ; Y7 Y6 and Y5..Y0
        and al, 0x0c
        shl al, 4
        or al, [packet + 2]
        cbw
        call serial_number
        say " "
        movzx ax, byte [packet]
        shr al, 4
        and al, 3
        call serial_number
        say " "
        movzx ax, byte [packet + 3]
        call serial_number
        say 10
        jmp .wait

; Waits for cx ticks of 55 ms.
ticks:  mov ax, [0x46c]
.same:  hlt
        cmp ax, [0x46c]
        je .same
        loop ticks
        ret

interrupt:
        pusha
        push ds
        xor ax, ax
        mov ds, ax
        mov dx, kCom2
        in al, dx
        mov bx, [place]
        test al, 0x40           ; the first of a packet
        jz .next
        xor bx, bx
.next:  mov [packet + bx], al
        inc bx
        and bx, 3
        mov [place], bx
        jnz .done
        inc byte [came]
.done:  mov al, 0x20
        out 0x20, al
        pop ds
        popa
        iret

place:  dw 0
packet: times 4 db 0
came:   db 0
shown:  db 0
letters: times 16 db 0

        image_end
