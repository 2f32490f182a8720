; Plays a tune on every sound device it finds, one after the other, says on COM1 which, and leaves
; through isa-debug-exit (port 501h, value 10h: exit status 33) or power-off.
;
; PC speaker: 440, 660 and 880 Hz. OPL2 or OPL3 at 388h: 262, 330 and 392 Hz. Sound Blaster 16 at
; 220h, IRQ 5, DMA 1 and 5: 500 Hz in bytes, then 1000 Hz left and 2000 Hz right in words. AC '97 of
; an Intel chipset: 3000 Hz. Between two notes there are about 110 ms of silence.

kImageSectors equ 1008          ; a whole cylinder: SeaBIOS rejects smaller AHCI disks

%include "lib/macros.inc"
%include "lib/boot.inc"

kBlaster        equ 0x220
kSampleSegment  equ 0x2000      ; DMA buffer at 20000h, does not cross 64 KiB
kAc97Segment    equ 0x3000
kNoteTicks      equ 6           ; of 55 ms
kRestTicks      equ 2

        call console_init
        print 10, "Dragoman sound check", 10
        call speaker_tune
        call mixer_up                   ; an SB16 begins 28 dB down; without one nobody listens
        call opl_tune
        call blaster_tune
        call ac97_tune
        print "done", 10
        mov dx, 0x501
        in al, dx
        inc al                          ; nothing there reads FFh
        jz .power
        mov al, 0x10
        out dx, al
.power: call power_off
        print "It is now safe to switch off.", 10
.halt:  cli
        hlt
        jmp .halt

; cx: timer ticks to wait.
wait_ticks:
        pusha
.tick:  mov ax, [0x46c]
.wait:  hlt
        cmp ax, [0x46c]
        je .wait
        loop .tick
        popa
        ret

rest:   push cx
        mov cx, kRestTicks
        call wait_ticks
        pop cx
        ret

; --- PC speaker ---------------------------------------------------------------------------------

speaker_tune:
        print "PC speaker", 10
        mov si, .divisors
.note:  lodsw
        test ax, ax
        jz .end
        mov bx, ax
        mov al, 0xb6                    ; counter 2, both bytes, square wave
        out 0x43, al
        mov al, bl
        out 0x42, al
        mov al, bh
        out 0x42, al
        in al, 0x61
        or al, 3
        out 0x61, al
        mov cx, kNoteTicks
        call wait_ticks
        in al, 0x61
        and al, 0xfc
        out 0x61, al
        call rest
        jmp .note
.end:   ret
.divisors: dw 2712, 1808, 1356, 0

; --- OPL ----------------------------------------------------------------------------------------

; al: register, ah: value.
opl_write:
        pusha
        mov dx, 0x388
        out dx, al
        mov cx, 6                       ; 3.3 us after an address, 23 us after a value (YM3812)
.short: in al, dx
        loop .short
        inc dx
        mov al, ah
        out dx, al
        dec dx
        mov cx, 35
.long:  in al, dx
        loop .long
        popa
        ret

opl_status:
        mov dx, 0x388
        in al, dx
        ret

; Master and MIDI volume of an SB16 at 220h, left and right, to their maximum.
mixer_up:
        mov si, .registers
        mov cx, 4
.next:  mov dx, 0x224
        lodsb
        out dx, al
        inc dx
        mov al, 0xf8
        out dx, al
        loop .next
        ret
.registers: db 0x30, 0x31, 0x34, 0x35

opl_tune:
        mov ax, 0x6004                  ; both timers off, flags cleared
        call opl_write
        mov ax, 0x8004
        call opl_write
        call opl_status
        mov bl, al
        mov ax, 0xff02                  ; timer 1: 80 us
        call opl_write
        mov ax, 0x2104
        call opl_write
        mov cx, 300
.wait:  call opl_status
        loop .wait
        mov bh, al
        mov ax, 0x6004
        call opl_write
        mov ax, 0x8004
        call opl_write
        test bl, 0xe0
        jnz .absent
        and bh, 0xe0
        cmp bh, 0xc0
        jne .absent
        test bl, 0x06                   ; the OPL2 has ones there
        jnz .opl2
        print "OPL3", 10
        jmp .play
.opl2:  print "OPL2", 10
.play:  mov si, .setup
.set:   lodsw
        test ax, ax
        jz .tune
        call opl_write
        jmp .set
.tune:  mov si, .notes
.note:  lodsw
        test ax, ax
        jz .absent
        mov bx, ax
        mov al, 0xa0
        mov ah, bl
        call opl_write
        mov al, 0xb0
        mov ah, bh
        or ah, 0x30                     ; key on, octave 4
        call opl_write
        mov cx, kNoteTicks
        call wait_ticks
        mov al, 0xb0
        mov ah, bh
        or ah, 0x10
        call opl_write
        call rest
        jmp .note
.absent:
        ret
; Channel 0: the first operator silent, the second a sine that sounds and ends at once.
.setup: db 0x20, 0x21, 0x40, 0x3f, 0x60, 0xf0, 0x80, 0x0f, 0xe0, 0x00
        db 0x23, 0x21, 0x43, 0x00, 0x63, 0xf0, 0x83, 0x0f, 0xe3, 0x00
        db 0xc0, 0x30, 0, 0
.notes: dw 345, 435, 517, 0             ; F-numbers

; --- Sound Blaster 16 ---------------------------------------------------------------------------

; Writes al to the DSP.
dsp_write:
        push cx
        push dx
        push ax
        mov dx, kBlaster + 0xc
        mov cx, 0xffff
.busy:  in al, dx
        test al, 0x80
        loopnz .busy
        pop ax
        out dx, al
        pop dx
        pop cx
        ret

; al: a byte of the DSP; carry when none came.
dsp_read:
        push cx
        push dx
        mov dx, kBlaster + 0xe
        mov cx, 0xffff
.none:  in al, dx
        test al, 0x80
        loopz .none
        stc
        jz .end
        mov dx, kBlaster + 0xa
        in al, dx
        clc
.end:   pop dx
        pop cx
        ret

%macro dsp 1-*
%rep %0
        mov al, %1
        call dsp_write
%rotate 1
%endrep
%endmacro
%macro mixer 2
        mov dx, kBlaster + 4
        mov al, %1
        out dx, al
        inc dx
        mov al, %2
        out dx, al
%endmacro

blaster_interrupt:
        push ax
        push dx
        inc word [cs:blaster_interrupts]
        mov dx, kBlaster + 0xe
        in al, dx
        inc dx
        in al, dx
        mov al, 0x20
        out 0x20, al
        pop dx
        pop ax
        iret
blaster_interrupts: dw 0

; Waits until [blaster_interrupts] is cx, at most 40 ticks. Carry when it never came.
wait_interrupts:
        mov bx, 40
.more:  cmp [blaster_interrupts], cx
        jae .came
        push cx
        mov cx, 1
        call wait_ticks
        pop cx
        dec bx
        jnz .more
        stc
        ret
.came:  clc
        ret

blaster_tune:
        mov dx, kBlaster + 6
        mov al, 1
        out dx, al
        mov cx, 100
.pulse: in al, 0x80                     ; some microseconds
        loop .pulse
        xor al, al
        out dx, al
        call dsp_read
        jc .end
        cmp al, 0xaa
        jne .end
        dsp 0xe1
        call dsp_read
        mov bh, al
        call dsp_read
        mov bl, al
        print "Sound Blaster, DSP "
        mov al, bh
        add al, '0'
        call putc
        print "."
        mov al, bl
        aam
        add ax, 0x3030
        xchg al, ah
        call putc
        mov al, ah
        call putc
        cmp bh, 4
        jb .newline
        mixer 0x30, 0xf8
        mixer 0x31, 0xf8
        mixer 0x32, 0xf8
        mixer 0x33, 0xf8
        mixer 0x34, 0xf8
        mixer 0x35, 0xf8
        cli
        mov word [0x0d * 4], blaster_interrupt
        mov word [0x0d * 4 + 2], 0
        in al, 0x21
        and al, ~0x20
        out 0x21, al
        sti

        ; 3200 bytes at 8000 Hz, a period of 16.
        mov ax, kSampleSegment
        mov es, ax
        xor di, di
        mov cx, 3200
.bytes: mov si, di
        and si, 15
        shl si, 1
        mov ax, [sine + si]
        xor ah, 0x80
        mov al, ah
        stosb
        loop .bytes
        mov al, 5                       ; DMA channel 1: memory to card, once
        out 0x0a, al
        out 0x0c, al
        mov al, 0x49
        out 0x0b, al
        xor al, al
        out 0x02, al
        out 0x02, al
        mov al, kSampleSegment >> 12
        out 0x83, al
        mov al, (3200 - 1) & 0xff
        out 0x03, al
        mov al, (3200 - 1) >> 8
        out 0x03, al
        mov al, 1
        out 0x0a, al
        dsp 0xd1, 0x40, 256 - 125, 0x14, (3200 - 1) & 0xff, (3200 - 1) >> 8
        mov cx, 1
        call wait_interrupts
        jc .silent
        call rest

        ; 3200 frames of words at 16000 Hz, round and round; an interrupt after each half.
        xor di, di
        mov cx, 3200
        xor bx, bx
.words: mov si, bx
        and si, 15
        shl si, 1
        mov ax, [sine + si]
        stosw
        shl si, 1                       ; twice as fast on the right
        and si, 30
        mov ax, [sine + si]
        stosw
        inc bx
        loop .words
        mov al, 5                       ; DMA channel 5: memory to card, again and again
        out 0xd4, al
        out 0xd8, al
        mov al, 0x59
        out 0xd6, al
        xor al, al
        out 0xc4, al
        out 0xc4, al
        mov al, kSampleSegment >> 12
        out 0x8b, al
        mov al, (6400 - 1) & 0xff
        out 0xc6, al
        mov al, (6400 - 1) >> 8
        out 0xc6, al
        mov al, 1
        out 0xd4, al
        dsp 0x41, 16000 >> 8, 16000 & 0xff
        dsp 0xb6, 0x30, (3200 - 1) & 0xff, (3200 - 1) >> 8
        mov cx, 4
        call wait_interrupts
        jc .silent
        dsp 0xd9                        ; ends with the block under way
        mov cx, 5
        call wait_interrupts
        jc .silent
        call rest
        print ", interrupts come"
        jmp .newline
.silent:
        print ", no interrupt"
.newline:
        newline
.end:   xor ax, ax
        mov es, ax
        ret

; --- AC '97 -------------------------------------------------------------------------------------

; ebp: configuration address; carry at the audio function of an Intel chipset.
is_ac97:
        mov eax, ebp
        call pci_read
        cmp ax, 0x8086
        jne .no
        lea eax, [ebp + 8]
        call pci_read
        shr eax, 16
        cmp ax, 0x0401
        jne .no
        mov [ac97_address], ebp
        stc
        ret
.no:    clc
        ret
ac97_address: dd 0

ac97_tune:
        mov bx, is_ac97
        call pci_walk
        mov ebp, [ac97_address]
        test ebp, ebp
        jz .absent
        lea eax, [ebp + 4]              ; I/O and bus master on
        mov dx, 0xcf8
        out dx, eax
        mov dx, 0xcfc
        in ax, dx
        or ax, 5
        out dx, ax
        lea eax, [ebp + 0x10]
        call pci_read
        and al, 0xfe
        mov si, ax                      ; codec
        lea eax, [ebp + 0x14]
        call pci_read
        and al, 0xfe
        mov di, ax                      ; bus masters
        lea dx, [di + 0x2c]
        mov eax, 2                      ; AC_RESET# off
        out dx, eax
        mov cx, 2
        call wait_ticks
        lea dx, [di + 0x30]
        in eax, dx
        test ah, 1
        jz .absent
        print "AC '97", 10
        lea dx, [si + 0x02]             ; 0 dB
        xor ax, ax
        out dx, ax
        lea dx, [si + 0x18]
        mov ax, 0x0808
        out dx, ax

        push di                         ; 9600 frames of a period of 16
        mov ax, kAc97Segment
        mov es, ax
        xor di, di
        mov cx, 9600
        xor bx, bx
.frame: mov si, bx
        and si, 15
        shl si, 1
        mov ax, [sine + si]
        stosw
        stosw
        inc bx
        loop .frame
        pop di
        xor ax, ax
        mov es, ax
        mov eax, kAc97Segment << 4
        mov [ac97_list], eax
        mov [ac97_list + 8], eax
        lea dx, [di + 0x1b]             ; PCM out: reset, list, last index 1, run
        mov al, 2
        out dx, al
        lea dx, [di + 0x10]
        mov eax, ac97_list
        out dx, eax
        lea dx, [di + 0x15]
        mov al, 1
        out dx, al
        lea dx, [di + 0x1b]
        mov al, 1
        out dx, al
        mov cx, 10
        call wait_ticks
        lea dx, [di + 0x16]
        in ax, dx
        test al, 1                      ; halted behind the last buffer
        jnz .absent
        print "does not end", 10
.absent:
        ret

        align 8
ac97_list:
        dd 0, 19200, 0, 19200

; A period of 16 samples with an amplitude of 20000.
sine:   dw 0, 7654, 14142, 18478, 20000, 18478, 14142, 7654
        dw 0, -7654, -14142, -18478, -20000, -18478, -14142, -7654

%include "lib/console.inc"
%include "lib/pci.inc"

        image_end
