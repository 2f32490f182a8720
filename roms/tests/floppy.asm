; Works on the disk in drive B through the BIOS (INT 13h). COM1 says how many cylinders, heads and
; sectors it has (three bytes). Formats the last track, reads it back, writes the first track of the
; last cylinder, reads it back, asks for a sector that is not there, and says so on COM1. Then, each
; time a byte comes, the change line (1 after a change) and the first byte of the first sector.
;
;   byte i of sector s that is written:   7 * i + 31 * s   (mod 256)

kImageSectors equ 2880
%include "lib/boot.inc"
        jmp main
%include "tests/serial.inc"

kBuffer equ 0x2000              ; segments: what is written, what is read
kBack   equ 0x4000

main:   call serial_init
        say "ready", 10
        call serial_get
        mov [disk_cylinders], al
        call serial_get
        mov [disk_heads], al
        call serial_get
        mov [disk_sectors], al

        ; Format the last track. The table has cylinder, head, number and size of each sector.
        mov di, table
        xor ax, ax
        mov es, ax
        mov cl, [disk_sectors]
        xor ch, ch
        mov bl, 1
.entry: mov al, [disk_cylinders]
        dec al
        stosb
        mov al, [disk_heads]
        dec al
        stosb
        mov al, bl
        stosb
        mov al, 2
        stosb
        inc bl
        loop .entry
        mov ah, 5
        mov al, [disk_sectors]
        mov bx, table
        mov ch, [disk_cylinders]
        dec ch
        mov cl, 1
        mov dh, [disk_heads]
        dec dh
        mov dl, 1
        int 0x13
        jc failed
        mov dh, [disk_heads]
        dec dh
        mov si, 0x0200
        mov bx, kBack
        call transfer
        jc failed
        call bytes
        xor di, di
        mov al, 0xf6
        repe scasb
        jne .wrong
        say "formatted", 10
        jmp .write
.wrong: say "not formatted", 10

.write: mov ax, kBuffer
        mov es, ax
        xor di, di
        mov dh, 1               ; sector
.fill:  mov al, 31
        mul dh
        mov cx, 512
.byte:  stosb
        add al, 7
        loop .byte
        inc dh
        cmp dh, [disk_sectors]
        jbe .fill
        xor dh, dh
        mov si, 0x0300
        mov bx, kBuffer
        call transfer
        jc failed
        xor dh, dh
        mov si, 0x0200
        mov bx, kBack
        call transfer
        jc failed
        call bytes
        push ds
        mov ax, kBuffer
        mov ds, ax
        xor si, si
        xor di, di
        repe cmpsb
        pop ds
        jne .differ
        say "written", 10
        jmp .beyond
.differ:
        say "reads back otherwise", 10

.beyond:
        mov ax, kBack
        mov es, ax
        xor bx, bx
        mov ax, 0x0201
        mov ch, [disk_cylinders]
        dec ch
        mov cl, [disk_sectors]
        inc cl
        xor dh, dh
        mov dl, 1
        int 0x13
        jc .refused
        say "a sector too many", 10
        jmp .change
.refused:
        say "refused", 10

.change:
        call serial_get
        mov dx, 0x3f2           ; SeaBIOS tells nothing about changes: the controller does
        mov al, 0x2d
        out dx, al              ; drive B, its motor on
        mov dx, 0x3f7
        in al, dx
        shr al, 7
        xor ah, ah
        call serial_number
        say " "
        mov byte [tries], 3
.again: mov ax, kBack
        mov es, ax
        xor bx, bx
        mov ax, 0x0201
        mov cx, 1
        xor dh, dh
        mov dl, 1
        int 0x13
        jnc .read
        dec byte [tries]        ; the first try after a change may fail
        jnz .again
        jmp failed
.read:  mov al, [es:0]
        xor ah, ah
        call serial_number
        say 10
        jmp .change

failed: mov al, ah
        xor ah, ah
        say "error "
        call serial_number
        say 10
.halt:  hlt
        jmp .halt

; si: function of INT 13h in its high byte; all sectors of the last cylinder under head dh, at bx:0.
; es: bx.
transfer:
        mov es, bx
        xor bx, bx
        mov ax, si
        mov al, [disk_sectors]
        mov ch, [disk_cylinders]
        dec ch
        mov cl, 1
        mov dl, 1
        int 0x13
        ret

; es: what was read, cx: bytes of a track.
bytes:  mov ax, kBack
        mov es, ax
        mov ch, [disk_sectors]
        shl ch, 1
        xor cl, cl
        ret

disk_cylinders: db 0
disk_heads:  db 0
disk_sectors: db 0
tries:  db 0
table:  times 4 * 36 db 0

        image_end
