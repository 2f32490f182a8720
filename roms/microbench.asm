; Micro benchmarks that run by themselves: table on COM1 and the screen, then off.
; Leaves through isa-debug-exit at port 501h (value 10h) where there is one, else by power-off.

kImageSectors equ 1008          ; a whole cylinder: SeaBIOS rejects smaller AHCI disks

%include "lib/macros.inc"
%include "lib/boot.inc"

        call console_init
        call cpu_identify
        print 10, "Dragoman micro benchmarks", 10
        call put_cpu_name
        newline
        newline
        call bench_possible
        jc .no_long_mode
        call bench_all
        jmp .leave
.no_long_mode:
        print "This processor has no 64-bit long mode; the benchmarks need it.", 10
.leave: print 10, "done", 10
        mov dx, 0x501
        in al, dx
        inc al                          ; nothing there reads FFh; Bochs panics on a write
        jz .power
        mov al, 0x10
        out dx, al
.power: call power_off
        print "It is now safe to switch off.", 10
.halt:  cli
        hlt
        jmp .halt

%include "lib/console.inc"
%include "lib/cpuid.inc"
%include "lib/pci.inc"
%include "lib/bench.inc"

        image_end
