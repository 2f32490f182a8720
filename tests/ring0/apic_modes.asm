; Timer of the local APIC in its modes; x2APIC.
%include "ring0.inc"
%include "devices.inc"

; Timer
APIC "apic.timer.one_shot", "SDM3 10.5.4"
        with_eoi
        BODY
        FAULTS NONE
        WANT r_count, 2
        WANT kLog, 0x32
        WANT r_rbx, 0
        mov dword [kLvtTimer], 0x32
        mov dword [kInitial], 1000
        sti
        wait_some
        mov ecx, 20000
%$a:    pause
        loop %$a
        cli
        mov ebx, [kCurrent]
        END
APIC "apic.timer.masked", "SDM3 10.5.4"
        with_eoi
        BODY
        FAULTS NONE
        WANT r_count, 1
        mov dword [kLvtTimer], 0x10032
        mov dword [kInitial], 1000
        sti
        mov ecx, 20000
%$a:    pause
        loop %$a
        cli
        END
APIC "apic.timer.periodic", "SDM3 10.5.4"
        with_eoi
        BODY
        FAULTS NONE
        WANT r_rbx, 1
        mov dword [kLvtTimer], 0x20032
        mov dword [kInitial], 100000
        sti
        mov ecx, 30000000
%$a:    cmp dword [r_count], 4
        jae %$b
        dec ecx
        jnz %$a
%$b:    cli
        mov dword [kLvtTimer], 0x10000
        mov dword [kInitial], 0
        cmp dword [r_count], 4
        setae bl
        sti
        nop
        settle
        cli
        END
APIC "apic.timer.counts_down", "SDM3 10.5.4"
        BODY
        FAULTS NONE
        WANT r_rbx, 1
        mov dword [kInitial], -1
        mov eax, [kCurrent]
        mov ecx, 2000
%$a:    pause
        loop %$a
        mov edx, [kCurrent]
        cmp edx, eax
        setb bl
        mov dword [kInitial], 0
        END
APIC "apic.timer.zero_stops", "SDM3 10.5.4"
        BODY
        FAULTS NONE
        WANT r_rbx, 0
        mov dword [kInitial], -1
        mov dword [kInitial], 0
        mov ebx, [kCurrent]
        END
APIC "apic.timer.deadline", "SDM3 10.5.4.1"
        NEEDS f_cpuid1c, 1 << 24
        with_eoi
        BODY
        FAULTS NONE
        WANT r_count, 2
        WANT kLog, 0x32
        WANT r_rbx, 0                   ; the MSR reads zero after it fired
        mov dword [kLvtTimer], 0x40032
        rdtsc
        add eax, 100000
        adc edx, 0
        mov ecx, 0x6e0
        wrmsr
        sti
        wait_some
        cli
        mov ecx, 0x6e0
        rdmsr
        mov ebx, eax
        or ebx, edx
        mov dword [kLvtTimer], 0x10000
        END
APIC "apic.timer.deadline_past", "SDM3 10.5.4.1"
        NEEDS f_cpuid1c, 1 << 24
        with_eoi
        BODY
        FAULTS NONE
        WANT r_count, 2
        mov dword [kLvtTimer], 0x40032
        mov eax, 1
        xor edx, edx
        mov ecx, 0x6e0
        wrmsr
        sti
        wait_some
        cli
        mov dword [kLvtTimer], 0x10000
        END
; x2APIC
%macro X2 2
        APIC {%1}, %2
        NEEDS f_cpuid1c, 1 << 21
        mov ecx, 0x1b
        rdmsr
        or ah, 0xc
        wrmsr
%endmacro
%macro X2BAD 5                  ; name, MSR, low, high, rdmsr|wrmsr
        X2 {"x2apic.", %1}, "SDM3 10.12.1.3"
        BODY
        FAULTS GP_, 0
        mov ecx, %2
        mov eax, %3
        mov edx, %4
        AT
        %5
        END
%endmacro
X2BAD "eoi_not_zero", 0x80b, 1, 0, wrmsr
X2BAD "dfr_absent", 0x80e, 0, 0, rdmsr
X2BAD "icr_high_absent", 0x831, 0, 0, rdmsr
X2BAD "id_read_only", 0x802, 0, 0, wrmsr
X2BAD "ldr_read_only", 0x80d, 0, 0, wrmsr
X2BAD "self_ipi_write_only", 0x83f, 0, 0, rdmsr
X2BAD "eoi_write_only", 0x80b, 0, 0, rdmsr
X2BAD "unknown", 0x840, 0, 0, rdmsr
X2BAD "esr_not_zero", 0x828, 1, 0, wrmsr
X2BAD "tpr_reserved", 0x808, 0x100, 0, wrmsr
X2BAD "self_ipi_reserved", 0x83f, 0x100, 0, wrmsr
X2BAD "svr_reserved", 0x80f, 0x1ff, 1, wrmsr
X2BAD "lvt_reserved", 0x832, 0x80000032, 0, wrmsr
X2BAD "back_to_xapic", 0x1b, 0xfee00900, 0, wrmsr
X2 "x2apic.self_ipi", "SDM3 10.12.11"
        BODY
        FAULTS 0x45
        mov ecx, 0x80f
        mov eax, 0x1ff
        xor edx, edx
        wrmsr
        mov ecx, 0x83f
        mov eax, 0x45
        wrmsr
        sti
        nop
        settle
        END
X2 "x2apic.icr_one_write", "SDM3 10.12.9"
        BODY
        FAULTS 0x45
        mov ecx, 0x802
        rdmsr
        mov edx, eax
        mov ecx, 0x830
        mov eax, 0x4045
        wrmsr
        sti
        nop
        settle
        END
X2 "x2apic.ldr_from_id", "SDM3 10.12.10.2"
        BODY
        FAULTS NONE
        WANT r_rbx, 0
        mov ecx, 0x802
        rdmsr
        mov ecx, eax
        shr eax, 4
        shl eax, 16
        and ecx, 15
        bts eax, ecx
        mov ebx, eax
        mov ecx, 0x80d
        rdmsr
        xor ebx, eax
        END
CASE "x2apic.without_enable", "SDM3 10.12.5", p32
        NEEDS f_cpuid1c, 1 << 21
        call quiet
        BODY
        FAULTS GP_, 0
        mov ecx, 0x1b
        rdmsr
        and ah, ~8
        or ah, 4
        AT
        wrmsr
        END
image_done
