; Writes to the first IDE disk behind the first MiB and flushes, without end, and says on COM1 what
; the disk has promised to keep. Round n (from 1 on) writes 1 to 8 runs of 1 to 64 sectors at places
; chosen by a generator of its own, each doubleword of them n, then FLUSH CACHE. Then COM1 gets
; "n PLACE COUNT PLACE COUNT ...", places and counts in sectors.

kImageSectors equ 2048
%include "lib/boot.inc"
        jmp main
%include "tests/serial.inc"

kFirst  equ 2048
kPlaces equ 16384               ; sectors that are written to: 8 MiB

main:   call serial_init
        mov dx, 0x3f6           ; no interrupts from the disk
        mov al, 2
        out dx, al
        call serial_get         ; a seed
        movzx eax, al
        mov [random], eax
.round: inc dword [round]
        mov di, list
        call next
        and ax, 7
        inc ax
        mov [runs], ax
        mov [left], ax
.run:   call next
        and ax, kPlaces - 1
        mov bx, ax
        call next
        and ax, 63
        inc ax
        mov cx, ax
        add ax, bx
        cmp ax, kPlaces
        jbe .fits
        mov bx, kPlaces - 64
.fits:  mov [di], bx
        mov [di + 2], cx
        add di, 4
        call write
        dec word [left]
        jnz .run
        mov al, 0xe7            ; FLUSH CACHE
        call command
        call ready
        mov ax, [round]
        call serial_number
        mov si, list
        mov cx, [runs]
        add cx, cx
.tell:  say " "
        lodsw
        call serial_number
        loop .tell
        say 10
        jmp .round

next:   imul eax, [random], 1664525
        add eax, 1013904223
        mov [random], eax
        shr eax, 12
        ret

; bx: place, cx: sectors.
write:  pusha
        call ready
        mov dx, 0x1f2
        mov al, cl
        out dx, al
        movzx eax, bx
        add eax, kFirst
        inc dx
        out dx, al
        shr eax, 8
        inc dx
        out dx, al
        shr eax, 8
        inc dx
        out dx, al
        mov al, 0xe0
        inc dx
        out dx, al
        mov al, 0x30            ; WRITE SECTORS
        call command
        mov bx, cx
.sector:
        call ready
        mov eax, [round]
        mov dx, 0x1f0
        mov cx, 128
.word:  out dx, eax
        loop .word
        dec bx
        jnz .sector
        call ready
        popa
        ret

command:
        mov dx, 0x1f7
        out dx, al
        ret

; Until the drive is not busy; an error ends everything.
ready:  push ax
        push dx
        mov dx, 0x3f6
        in al, dx
        in al, dx
        mov dx, 0x1f7
.busy:  in al, dx
        test al, 0x80
        jnz .busy
        test al, 0x21
        jnz .error
        pop dx
        pop ax
        ret
.error: say "disk error", 10
.halt:  hlt
        jmp .halt

round:  dd 0
random: dd 0
runs:   dw 0
left:   dw 0
list:   times 16 dw 0

        image_end
