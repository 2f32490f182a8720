; The welcome disk: what this PC is made of, on the screen and on COM1, with a menu. Runs on any PC
; with a 386 or better that boots from disk.

kImageSectors equ 1008          ; a whole cylinder: SeaBIOS rejects smaller AHCI disks

%include "lib/macros.inc"
%include "lib/boot.inc"

        call console_init
        call cpu_identify
        call show_overview
.prompt:
        colour kBright
        print "> "
        colour kPlain
.key:   call get_key
        cmp al, 13
        je .empty
        mov si, .menu
.find:  cmp byte [si], 0
        je .key
        cmp [si], al
        je .found
        add si, 3
        jmp .find
.found: call putc
        newline
        call [si + 1]
        jmp .prompt
.empty: newline
        jmp .prompt

%macro entry 2
        db %1
        dw %2
%endmacro
.menu:  entry '1', show_cpu
        entry '2', show_memory
        entry '3', show_pci
        entry '4', show_devices
        entry 'b', show_benchmarks
        entry 'h', show_overview
        entry '?', show_overview
        entry 'r', reboot
        entry 'p', turn_off
        db 0

; title "text": new page with a full-width bar.
%macro title 1
        call clear_screen
        colour kTitle
        print " Dragoman  ", %1
        column 79
        colour kPlain
        newline
        newline
%endmacro
%macro label 1
        colour kLabel
        print " ", %1
        column 11
        colour kPlain
%endmacro

show_menu:
        newline
        colour kBright
        print " 1"
        colour kPlain
        print " CPU  "
        colour kBright
        print "2"
        colour kPlain
        print " memory  "
        colour kBright
        print "3"
        colour kPlain
        print " PCI  "
        colour kBright
        print "4"
        colour kPlain
        print " devices  "
        colour kBright
        print "b"
        colour kPlain
        print " benchmarks  "
        colour kBright
        print "r"
        colour kPlain
        print " reboot  "
        colour kBright
        print "p"
        colour kPlain
        print " power off  "
        colour kBright
        print "h"
        colour kPlain
        print " help", 10
        ret

show_overview:
        title "This machine booted from its welcome disk."
        label "CPU"
        call put_cpu_name
        newline
        cmp byte [has_cpuid], 0
        je .memory
        column 11
        call put_signature
.memory:
        label "Memory"
        call collect_memory
        call put_memory_total
        newline
        label "PCI"
        mov bx, count_function
        mov word [pci_count], 0
        call pci_walk
        movzx eax, word [pci_count]
        call put_dec
        print " functions on bus 0", 10
        label "Date"
        call put_date
        newline
        label "Serial"
        call put_com_ports
        newline
        newline
        print " Dragoman boots this disk when it is started without any medium. Press a key", 10
        print " here or on the serial line (115200 8N1); start Dragoman with a disk, a CD or", 10
        print " a kernel to run something else.", 10
        jmp show_menu

; ---- CPU ----

put_signature:
        mov si, vendor
        call puts
        call cpu_family
        movzx ebx, ax
        print "  family "
        movzx eax, bl
        call put_dec
        print " model "
        movzx eax, bh
        call put_dec
        print " stepping "
        movzx eax, cl
        call put_dec
        newline
        ret

show_cpu:
        title "CPU"
        label "Name"
        call put_cpu_name
        newline
        cmp byte [has_cpuid], 0
        je show_menu
        label "Type"
        call put_signature
        label "CPUID"
        mov cl, 8
        print "leaf 1 eax "
        mov eax, [signature]
        call put_hex
        print " ecx "
        mov eax, [leaf1_ecx]
        call put_hex
        print " edx "
        mov eax, [leaf1_edx]
        call put_hex
        newline
        column 11
        print "leaf 7 ebx "
        mov eax, [leaf7_ebx]
        call put_hex
        newline
        column 11
        print "80000001 ecx "
        mov eax, [ext_ecx]
        call put_hex
        print " edx "
        mov eax, [ext_edx]
        call put_hex
        newline
        label "Features"
        mov si, feature_names
.next:  mov bx, [si]                    ; variable
        test bx, bx
        jz .end
        movzx ecx, byte [si + 2]        ; bit
        add si, 3
        bt [bx], ecx
        jnc .skip
        cmp byte [cursor_column], 70
        jb .put
        newline
        column 11
.put:   call puts
        mov al, ' '
        call putc
.skip:  lodsb
        test al, al
        jnz .skip
        jmp .next
.end:   newline
        label "Clock"
        call put_tsc_rate
        newline
        jmp show_menu

; Time stamp counter against 55 ms BIOS ticks.
put_tsc_rate:
        test dword [leaf1_edx], 1 << 4
        jz .none
        mov bx, [0x46c]
.edge:  cmp bx, [0x46c]
        je .edge
        rdtsc
        mov esi, eax
        mov edi, edx
        mov bx, [0x46c]
        add bx, 4
.wait:  cmp bx, [0x46c]
        jne .wait
        rdtsc
        sub eax, esi
        sbb edx, edi
        mov ebx, 219701                 ; microseconds in four ticks of 65536/1193182 s
        cmp edx, ebx
        jae .none
        div ebx
        print "TSC about "
        call put_dec
        print " MHz"
        ret
.none:  print "no time stamp counter"
        ret

%macro feature 3
        dw %1
        db %2, %3, 0
%endmacro
feature_names:
        feature leaf1_edx, 0, "fpu"
        feature leaf1_edx, 1, "vme"
        feature leaf1_edx, 2, "de"
        feature leaf1_edx, 3, "pse"
        feature leaf1_edx, 4, "tsc"
        feature leaf1_edx, 5, "msr"
        feature leaf1_edx, 6, "pae"
        feature leaf1_edx, 8, "cx8"
        feature leaf1_edx, 9, "apic"
        feature leaf1_edx, 11, "sep"
        feature leaf1_edx, 12, "mtrr"
        feature leaf1_edx, 13, "pge"
        feature leaf1_edx, 15, "cmov"
        feature leaf1_edx, 16, "pat"
        feature leaf1_edx, 17, "pse36"
        feature leaf1_edx, 19, "clflush"
        feature leaf1_edx, 23, "mmx"
        feature leaf1_edx, 24, "fxsr"
        feature leaf1_edx, 25, "sse"
        feature leaf1_edx, 26, "sse2"
        feature leaf1_ecx, 0, "sse3"
        feature leaf1_ecx, 1, "pclmul"
        feature leaf1_ecx, 9, "ssse3"
        feature leaf1_ecx, 12, "fma"
        feature leaf1_ecx, 13, "cx16"
        feature leaf1_ecx, 17, "pcid"
        feature leaf1_ecx, 19, "sse4.1"
        feature leaf1_ecx, 20, "sse4.2"
        feature leaf1_ecx, 21, "x2apic"
        feature leaf1_ecx, 22, "movbe"
        feature leaf1_ecx, 23, "popcnt"
        feature leaf1_ecx, 24, "tsc-deadline"
        feature leaf1_ecx, 25, "aes"
        feature leaf1_ecx, 26, "xsave"
        feature leaf1_ecx, 28, "avx"
        feature leaf1_ecx, 29, "f16c"
        feature leaf1_ecx, 30, "rdrand"
        feature leaf1_ecx, 31, "hypervisor"
        feature leaf7_ebx, 0, "fsgsbase"
        feature leaf7_ebx, 3, "bmi1"
        feature leaf7_ebx, 5, "avx2"
        feature leaf7_ebx, 7, "smep"
        feature leaf7_ebx, 8, "bmi2"
        feature leaf7_ebx, 9, "erms"
        feature leaf7_ebx, 10, "invpcid"
        feature leaf7_ebx, 18, "rdseed"
        feature leaf7_ebx, 19, "adx"
        feature leaf7_ebx, 20, "smap"
        feature leaf7_ebx, 29, "sha"
        feature ext_edx, 11, "syscall"
        feature ext_edx, 20, "nx"
        feature ext_edx, 26, "pdpe1gb"
        feature ext_edx, 27, "rdtscp"
        feature ext_edx, 29, "lm"
        feature ext_ecx, 0, "lahf_lm"
        feature ext_ecx, 5, "lzcnt"
        dw 0

; ---- Memory ----

kMapEntries equ 64
memory_map equ 0x1000                   ; kMapEntries entries of 20 bytes

; INT 15h E820h into memory_map; [map_count] stays 0 where the BIOS has none.
collect_memory:
        pushad
        mov word [map_count], 0
        xor ebx, ebx
        mov di, memory_map
.next:  mov eax, 0xe820
        mov edx, 0x534d4150
        mov ecx, 20
        int 0x15
        jc .done
        cmp eax, 0x534d4150
        jne .done
        add di, 20
        inc word [map_count]
        cmp word [map_count], kMapEntries
        jae .done
        test ebx, ebx
        jnz .next
.done:  popad
        ret

; Usable memory in all.
put_memory_total:
        pushad
        mov cx, [map_count]
        jcxz .old
        mov si, memory_map
        xor ebx, ebx
        xor edx, edx
.add:   cmp dword [si + 16], 1
        jne .skip
        add ebx, [si + 8]
        adc edx, [si + 12]
.skip:  add si, 20
        loop .add
        shrd ebx, edx, 10
        mov eax, ebx
        call put_dec
        print " KiB usable"
        jmp .end
.old:   mov ah, 0x88                    ; extended memory in KiB
        int 0x15
        jc .none
        movzx eax, ax
        call put_dec
        print " KiB extended (INT 15h 88h)"
        jmp .end
.none:  print "no memory map from the BIOS"
.end:   popad
        ret

show_memory:
        title "Memory map (INT 15h E820h)"
        call collect_memory
        mov cx, [map_count]
        test cx, cx
        jz .total
        mov si, memory_map
.next:  push cx
        mov cl, 8
        mov al, ' '
        call putc
        mov eax, [si + 4]
        call put_hex
        mov eax, [si]
        call put_hex
        print " - "
        mov ebx, [si]
        mov edx, [si + 4]
        add ebx, [si + 8]
        adc edx, [si + 12]
        sub ebx, 1
        sbb edx, 0
        mov eax, edx
        call put_hex
        mov eax, ebx
        call put_hex
        mov eax, [si + 8]
        mov edx, [si + 12]
        shrd eax, edx, 10
        mov cl, 11
        call put_dec_right
        print " KiB  "
        mov eax, [si + 16]
        cmp eax, 5
        ja .number
        mov bx, ax
        add bx, bx
        push si
        mov si, [memory_types + bx]
        call puts
        pop si
        jmp .line
.number:
        print "type "
        call put_dec
.line:  newline
        add si, 20
        pop cx
        dec cx
        jnz .next
        newline
.total: label "Base"
        int 0x12
        movzx eax, ax
        call put_dec
        print " KiB (INT 12h)", 10
        label "Total"
        call put_memory_total
        newline
        jmp show_menu

memory_types: dw .t0, .t1, .t2, .t3, .t4, .t5
.t0:    db "type 0", 0
.t1:    db "usable", 0
.t2:    db "reserved", 0
.t3:    db "ACPI tables", 0
.t4:    db "ACPI non-volatile", 0
.t5:    db "bad", 0
map_count: dw 0

; ---- PCI ----

pci_count: dw 0
count_function:
        inc word [pci_count]
        clc
        ret

show_pci:
        title "PCI bus 0 (configuration mechanism #1)"
        call pci_present
        jc .none
        colour kLabel
        print " address id        class                 base addresses", 10
        colour kPlain
        mov bx, put_function
        call pci_walk
        jmp show_menu
.none:  print " No PCI bus answers.", 10
        jmp show_menu

; ebp: configuration address.
put_function:
        pushad
        print " "
        mov eax, ebp
        shr eax, 16
        mov cl, 2
        call put_hex                    ; bus
        mov al, ':'
        call putc
        mov eax, ebp
        shr eax, 11
        and al, 0x1f
        call put_hex
        mov al, '.'
        call putc
        mov eax, ebp
        shr eax, 8
        and al, 7
        mov cl, 1
        call put_hex
        mov al, ' '
        call putc
        mov eax, ebp
        call pci_read
        mov cl, 4
        call put_hex
        push eax
        mov al, ':'
        call putc
        pop eax
        shr eax, 16
        call put_hex
        mov al, ' '
        call putc
        lea eax, [ebp + 8]
        call pci_read
        shr eax, 16                     ; class, subclass
        mov si, class_names
.find:  cmp word [si + 2], 0
        je .unknown
        cmp [si], ax
        je .name
        cmp byte [si], 0xff             ; any subclass
        jne .skip
        cmp [si + 1], ah
        je .name
.skip:  add si, 4
        jmp .find
.unknown:
        print "class "
        mov cl, 4
        call put_hex
        jmp .bars
.name:  mov si, [si + 2]
        call puts
.bars:  column 41
        lea eax, [ebp + 0x0c]
        call pci_read
        shr eax, 16
        and al, 0x7f
        mov dx, 0x24                    ; last BAR of a type 0 header
        jz .type0
        mov dx, 0x14                    ; bridges have two
        cmp al, 1
        jne .end
.type0: mov si, 0x10
.bar:   cmp si, dx
        ja .end
        movzx eax, si
        add eax, ebp
        call pci_read
        add si, 4
        test al, 1
        jnz .io
        mov edi, eax
        and eax, 0xfffffff0
        and di, 6
        cmp di, 4                       ; 64-bit: the next register is the upper half
        jne .low
        push eax
        movzx eax, si
        add eax, ebp
        call pci_read
        add si, 4
        mov edi, eax
        pop eax
        jmp .show
.low:   xor edi, edi
.show:  push eax
        or eax, edi
        pop eax
        jz .bar
        call .room
        print "m:"
        test edi, edi
        jz .lower
        xchg eax, edi
        mov cl, 4
        call put_hex
        xchg eax, edi
.lower: mov cl, 8
        call put_hex
        jmp .bar
.io:    and ax, 0xfffc
        jz .bar
        call .room
        print "io:"
        mov cl, 4
        call put_hex
        jmp .bar
.end:   newline
        popad
        clc
        ret
.room:  cmp byte [cursor_column], 66
        jb .space
        newline
        column 41
        ret
.space: push ax
        mov al, ' '
        call putc
        pop ax
        ret

%macro class 2
        dw %1, .%2
%endmacro
class_names:
        class 0x0001, vga_old
        class 0x0100, scsi
        class 0x0101, ide
        class 0x0102, floppy
        class 0x0106, sata
        class 0x0108, nvme
        class 0x01ff, storage
        class 0x0200, ethernet
        class 0x02ff, network
        class 0x0300, vga
        class 0x03ff, display
        class 0x0401, audio
        class 0x0403, hda
        class 0x04ff, multimedia
        class 0x05ff, memory
        class 0x0600, host
        class 0x0601, isa
        class 0x0604, pci
        class 0x0680, bridge
        class 0x06ff, bridge
        class 0x0700, serial
        class 0x0780, communication
        class 0x07ff, communication
        class 0x08ff, system
        class 0x09ff, input
        class 0x0c00, firewire
        class 0x0c03, usb
        class 0x0c05, smbus
        class 0x0cff, bus
        class 0x00ff, old
        dw 0, 0
.vga_old: db "VGA (old)", 0
.scsi:  db "SCSI storage", 0
.ide:   db "IDE controller", 0
.floppy: db "floppy controller", 0
.sata:  db "SATA controller", 0
.nvme:  db "NVMe storage", 0
.storage: db "mass storage", 0
.ethernet: db "Ethernet", 0
.network: db "network", 0
.vga:   db "VGA display", 0
.display: db "display", 0
.audio: db "audio", 0
.hda:   db "HD audio", 0
.multimedia: db "multimedia", 0
.memory: db "memory", 0
.host:  db "host bridge", 0
.isa:   db "ISA bridge", 0
.pci:   db "PCI bridge", 0
.bridge: db "bridge", 0
.serial: db "serial port", 0
.communication: db "communication", 0
.system: db "system device", 0
.input: db "input device", 0
.firewire: db "FireWire", 0
.usb:   db "USB controller", 0
.smbus: db "SMBus", 0
.bus:   db "serial bus", 0
.old:   db "unclassified", 0

; ---- Legacy devices ----

show_devices:
        title "Devices of the PC/AT"
        label "Timer"
        call put_pit
        newline
        label "Clock"
        call put_date
        newline
        label "Serial"
        call put_com_ports
        newline
        label "Parallel"
        mov si, 0x408
        mov cx, 3
        mov dl, 0
.lpt:   lodsw
        test ax, ax
        jz .no_lpt
        inc dl
        push cx
        movzx eax, ax
        mov cl, 3
        call put_hex
        pop cx
        mov al, ' '
        call putc
.no_lpt:
        loop .lpt
        test dl, dl
        jnz .ps2
        print "none"
.ps2:   newline
        label "PS/2"
        in al, 0x64
        cmp al, 0xff
        je .no_ps2
        print "8042 controller, keyboard"
        int 0x11
        test al, 4
        jz .floppy
        print ", pointing device"
        jmp .floppy
.no_ps2:
        print "no controller"
.floppy:
        newline
        label "Floppy"
        mov al, 0x10
        call read_cmos
        mov bl, al
        shr al, 4
        call put_floppy
        print ", "
        mov al, bl
        and al, 15
        call put_floppy
        newline
        label "Disks"
        movzx eax, byte [0x475]
        call put_dec
        print " hard disks known to the BIOS, booted from "
        mov al, [boot_drive]
        mov cl, 2
        call put_hex
        newline
        label "Video"
        print "BIOS mode "
        mov al, [0x449]
        mov cl, 2
        call put_hex
        print ", INT 10h at "
        mov ax, [0x42]
        mov cl, 4
        call put_hex
        mov al, ':'
        call putc
        mov ax, [0x40]
        call put_hex
        newline
        label "Tables"
        call put_tables
        newline
        jmp show_menu

; Counter 0 of the 8254 latched twice must differ within some time.
put_pit:
        call read_pit
        mov bx, ax
        mov cx, 1000
.again: call read_pit
        cmp ax, bx
        jne .runs
        loop .again
        print "8254 counter 0 stands still"
        ret
.runs:  print "8254 counter 0 runs"
        ret
read_pit:
        pushf
        cli
        mov al, 0
        out 0x43, al
        in al, 0x40
        mov ah, al
        in al, 0x40
        xchg al, ah
        popf
        ret

; al: register -> al: value.
read_cmos:
        pushf
        cli
        out 0x70, al
        in al, 0x71
        popf
        ret

put_date:
        pusha
        mov ah, 4
        int 0x1a
        jc .none
        mov al, ch
        call .bcd
        mov al, cl
        call .bcd
        mov al, '-'
        call putc
        mov al, dh
        call .bcd
        mov al, '-'
        call putc
        mov al, dl
        call .bcd
        mov al, ' '
        call putc
        mov ah, 2
        int 0x1a
        jc .none
        mov al, ch
        call .bcd
        mov al, ':'
        call putc
        mov al, cl
        call .bcd
        mov al, ':'
        call putc
        mov al, dh
        call .bcd
        popa
        ret
.none:  print "no real-time clock"
        popa
        ret
.bcd:   push cx
        mov cl, 2
        call put_hex
        pop cx
        ret

; UARTs keep what is written to their scratch register.
put_com_ports:
        pusha
        mov si, com_bases
        mov cx, 4
        mov bl, '1'
        mov bh, 0
.next:  lodsw
        mov dx, ax
        add dx, 7
        mov al, 0xa5
        out dx, al
        in al, dx
        cmp al, 0xa5
        jne .no
        mov al, 0x5a
        out dx, al
        in al, dx
        cmp al, 0x5a
        jne .no
        mov bh, 1
        print "COM"
        mov al, bl
        call putc
        mov al, ' '
        call putc
        push cx
        mov ax, dx
        sub ax, 7
        mov cl, 3
        call put_hex
        pop cx
        sub dx, 5                       ; IIR bits 7:6: FIFO enabled
        in al, dx
        and al, 0xc0
        cmp al, 0xc0
        jne .plain
        print " 16550A  "
        jmp .no
.plain: print " 8250/16450/16550  "
.no:    inc bl
        loop .next
        test bh, bh
        jnz .end
        print "none"
.end:   popa
        ret
com_bases: dw 0x3f8, 0x2f8, 0x3e8, 0x2e8

; al: drive type from CMOS.
put_floppy:
        pusha
        cmp al, 6
        jbe .known
        mov al, 0
.known: movzx bx, al
        add bx, bx
        mov si, [.types + bx]
        call puts
        popa
        ret
.types: dw .none, .t1, .t2, .t3, .t4, .none, .t6
.none:  db "none", 0
.t1:    db "360 KB 5.25", 34, 0
.t2:    db "1.2 MB 5.25", 34, 0
.t3:    db "720 KB 3.5", 34, 0
.t4:    db "1.44 MB 3.5", 34, 0
.t6:    db "2.88 MB 3.5", 34, 0

; ACPI and SMBIOS anchors on 16-byte boundaries of E0000h..FFFFFh.
put_tables:
        pusha
        mov byte [tables_found], 0
        mov dx, 0xe000
.next:  mov es, dx
        cmp dword [es:0], "RSD "
        jne .smbios
        cmp dword [es:4], "PTR "
        jne .smbios
        print "ACPI (OEM "
        mov si, 9
        mov cx, 6
.oem:   mov al, [es:si]
        cmp al, ' '
        jb .skip
        call putc
.skip:  inc si
        loop .oem
        print ")  "
        mov byte [tables_found], 1
.smbios:
        cmp dword [es:0], "_SM_"
        jne .mp
        print "SMBIOS "
        movzx eax, byte [es:6]
        call put_dec
        mov al, '.'
        call putc
        movzx eax, byte [es:7]
        call put_dec
        print "  "
        mov byte [tables_found], 1
.mp:    cmp dword [es:0], "_MP_"
        jne .more
        print "MP  "
        mov byte [tables_found], 1
.more:  inc dx
        jnz .next
        xor ax, ax
        mov es, ax
        cmp byte [tables_found], 0
        jne .end
        print "none"
.end:   popa
        ret
tables_found: db 0

; ---- Benchmarks, reboot, power ----

show_benchmarks:
        title "Cycles per operation (64-bit mode)"
        call bench_possible
        jc .no
        call bench_all
        jmp show_menu
.no:    print " This processor has no 64-bit long mode; the benchmarks need it.", 10
        jmp show_menu

reboot: mov word [0x472], 0x1234        ; warm start
        mov al, 0xfe
        out 0x64, al                    ; 8042: pulse the reset line
        call short_wait
        mov dx, 0xcf9
        mov al, 2
        out dx, al
        mov al, 6
        out dx, al
        call short_wait
        lidt [.nothing]
        int3
.nothing: dw 0
        dd 0

turn_off:
        call power_off
        print " Neither PIIX4 power management nor APM here: switch off by hand.", 10
        ret

%include "lib/console.inc"
%include "lib/cpuid.inc"
%include "lib/pci.inc"
%include "lib/bench.inc"

        image_end
