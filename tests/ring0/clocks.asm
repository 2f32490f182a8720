; PIT, HPET, RTC, and the rates of the clocks against each other.
%include "ring0.inc"
%include "devices.inc"

; PIT
APIC "pit.latch_is_stable", "8254 data sheet"
        BODY
        FAULTS NONE
        WANT r_rbx, 1
        mov al, 0x34
        out 0x43, al
        xor al, al
        out 0x40, al
        out 0x40, al
        mov ecx, 1000
%$w:    in al, 0x61
        loop %$w
        mov al, 0
        out 0x43, al
        mov ecx, 30000
%$a:    in al, 0x61
        loop %$a
        mov al, 0
        out 0x43, al            ; a second latch is ignored
        in al, 0x40
        mov bl, al
        in al, 0x40
        mov bh, al
        movzx ebx, bx
        cmp ebx, 50000          ; the first latch: hardly anything had been counted
        seta bl
        movzx ebx, bl
        END
APIC "pit.read_back_status", "8254 data sheet"
        BODY
        FAULTS NONE
        WANT r_rbx, 0x34, 0x3f          ; both bytes, mode 2, binary
        mov al, 0x34
        out 0x43, al
        xor al, al
        out 0x40, al
        out 0x40, al
        mov al, 0xe2
        out 0x43, al
        in al, 0x40
        movzx ebx, al
        END
APIC "pit.null_count", "8254 data sheet"
        BODY
        FAULTS NONE
        WANT r_rbx, 0x40, 0x40
        mov al, 0x30
        out 0x43, al
        mov al, 0xe2
        out 0x43, al
        in al, 0x40
        movzx ebx, al
        END
APIC "pit.mode0_output", "8254 data sheet"
        BODY
        FAULTS NONE
        WANT r_rbx, 0, 0x20             ; low after the mode is written
        WANT r_rdx, 0x20, 0x20          ; high after the count
        in al, 0x61
        and al, 0xfc
        or al, 1
        out 0x61, al
        mov al, 0xb0
        out 0x43, al
        in al, 0x61
        movzx ebx, al
        mov al, 20
        out 0x42, al
        xor al, al
        out 0x42, al
        mov ecx, 100000
%$a:    in al, 0x61
        test al, 0x20
        jnz %$b
        loop %$a
%$b:    movzx edx, al
        END
APIC "pit.gate_stops", "8254 data sheet"
        BODY
        FAULTS NONE
        WANT r_rbx, 0
        in al, 0x61
        and al, 0xfc
        out 0x61, al                    ; gate of channel 2 low
        mov al, 0xb0
        out 0x43, al
        mov al, 0xff
        out 0x42, al
        out 0x42, al
        mov ecx, 1000
%$w:    in al, 0x61
        loop %$w
        call read_pit2
        mov ebx, eax
        mov ecx, 1000
%$a:    in al, 0x61
        loop %$a
        call read_pit2
        sub ebx, eax
        END
section .text
read_pit2:
        mov al, 0x80
        out 0x43, al
        in al, 0x42
        mov ah, al
        in al, 0x42
        xchg al, ah
        movzx eax, ax
        ret
; Channel 2 counts down from FFFFh.
start_pit2:
        in al, 0x61
        and al, 0xfc
        or al, 1
        out 0x61, al
        mov al, 0xb0
        out 0x43, al
        mov al, 0xff
        out 0x42, al
        out 0x42, al
        mov ecx, 1000           ; the count is taken over by the next clock of the timer
.wait:  in al, 0x61
        loop .wait
        ret
; eax: ticks of a clock that passed per 4096 ticks of the PIT, over about 10 ms. edi: routine that reads
; the clock into eax. The host may stop us between two readings, so callers try again.
rate:   call start_pit2
        call edi
        mov ebp, eax
        call read_pit2
        mov esi, eax
.wait:  call read_pit2
        mov edx, esi
        sub edx, eax
        cmp edx, 11932
        jb .wait
        push edx
        call edi
        sub eax, ebp
        pop ecx
        xor edx, edx
        shld edx, eax, 12
        shl eax, 12
        div ecx
        ret
pit_10ms:
        call start_pit2
.wait:  call read_pit2
        cmp eax, 0xffff - 11932
        ja .wait
        ret
read_hpet:
        mov eax, [kHpet + 0xf0]
        ret
read_tsc:
        rdtsc
        ret
read_apic:
        mov eax, [kCurrent]
        neg eax
        ret
; Tries twenty times until %1 leaves 1 in EBX.
%macro retry 1
        mov dword [kResults + 0x40], 20
%%again:
        call %1
        test ebx, ebx
        jnz %%end
        dec dword [kResults + 0x40]
        jnz %%again
%%end:
%endmacro
; 1 when eax lies within 4 % of edx
within: mov ebx, edx
        shr ebx, 5
        mov ecx, edx
        sub ecx, ebx
        cmp eax, ecx
        jb .no
        lea ecx, [edx + ebx + 1]
        cmp eax, ecx
        ja .no
        mov ebx, 1
        ret
.no:    xor ebx, ebx
        ret
%macro has_hpet 0
        mov eax, [kHpet]
        inc eax
        cmp eax, 1
        jbe skip_case           ; nothing there
        mov eax, [kHpet + 4]
        dec eax
        cmp eax, 100000000
        jae skip_case
        or dword [kHpet + 0x10], 1
%endmacro
section .text
hpet_try:
        mov edi, read_hpet
        call rate
        mul dword [kHpet + 4]           ; femtoseconds
        mov ecx, 1000000
        div ecx                         ; nanoseconds
        mov edx, 3432838                ; 4096 ticks at 1.193182 MHz
        jmp within
APIC "clock.hpet_against_pit", "HPET specification 2.3; 8254 data sheet"
        has_hpet
        BODY
        FAULTS NONE
        WANT r_rbx, 1
        retry hpet_try
        END
APIC "clock.hpet_monotonic", "HPET specification 2.3.7"
        has_hpet
        BODY
        FAULTS NONE
        WANT r_rbx, 1
        mov ebx, 1
        mov ecx, 200
        mov edx, [kHpet + 0xf0]
%$a:    mov eax, [kHpet + 0xf0]
        cmp eax, edx
        jae %$b
        xor ebx, ebx
%$b:    mov edx, eax
        loop %$a
        END
APIC "clock.hpet_stops", "HPET specification 2.3.5"
        has_hpet
        BODY
        FAULTS NONE
        WANT r_rbx, 0
        and dword [kHpet + 0x10], ~1
        mov ebx, [kHpet + 0xf0]
        mov ecx, 1000
%$a:    in al, 0x61
        loop %$a
        sub ebx, [kHpet + 0xf0]
        or dword [kHpet + 0x10], 1
        END
section .text
apic_try:
        mov edi, read_apic
        mov dword [kDivide], 0xb
        mov dword [kInitial], -1
        call rate
        push eax
        mov dword [kDivide], 3          ; by 16
        mov dword [kInitial], -1
        call rate
        shl eax, 4
        pop edx
        mov dword [kInitial], 0
        jmp within
tsc_try:
        mov edi, read_tsc
        call rate
        push eax
        call rate
        pop edx
        jmp within
rtc_try:
        call start_pit2
        mov al, 0xc
        out 0x70, al
        in al, 0x71
        xor esi, esi
.next:  in al, 0x71
        test al, 0x40
        jz .none
        inc esi
.none:  in al, 0x61
        test al, 0x20
        jz .next
        mov eax, esi
        mov edx, 56                     ; 65535 ticks are 54.9 ms, at 1024 Hz
        jmp within
APIC "clock.apic_divider", "SDM3 10.5.4"
        BODY
        FAULTS NONE
        WANT r_rbx, 1
        retry apic_try
        END
APIC "clock.tsc_invariant", "SDM3 17.17"
        NEEDS f_cpuid87d, 1 << 8
        BODY
        FAULTS NONE
        WANT r_rbx, 1
        retry tsc_try
        END
APIC "clock.rtc_periodic_against_pit", "MC146818 data sheet"
        BODY
        FAULTS NONE
        WANT r_rbx, 1
        mov al, 0xa
        out 0x70, al
        mov al, 0x26                    ; 1024 Hz
        out 0x71, al
        mov al, 0xb
        out 0x70, al
        mov al, 0x42
        out 0x71, al
        retry rtc_try
        push ebx
        rtc_off
        pop ebx
        END
; RTC
%macro CMOS 4                   ; name, index, value, mask: written and read back while SET is 1
        APIC {"rtc.", %1}, "MC146818 data sheet"
        BODY
        FAULTS NONE
        WANT r_rbx, %3, %4
        mov al, 0xb
        out 0x70, al
        mov al, 0x82
        out 0x71, al
        mov al, %2
        out 0x70, al
        in al, 0x71
        movzx esi, al
        mov al, %3
        out 0x71, al
        in al, 0x71
        movzx ebx, al
        mov eax, esi
        out 0x71, al
        mov al, 0xb
        out 0x70, al
        mov al, 2
        out 0x71, al
        END
%endmacro
CMOS "seconds_alarm", 1, 0x45, 0xff
CMOS "minutes_alarm", 3, 0x59, 0xff
CMOS "hours_alarm", 5, 0x23, 0xff
CMOS "minutes_set", 2, 0x34, 0xff
CMOS "ram", 0x60, 0xa5, 0xff
APIC "rtc.register_d_valid", "MC146818 data sheet"
        BODY
        FAULTS NONE
        WANT r_rbx, 0x80, 0x80
        mov al, 0xd
        out 0x70, al
        in al, 0x71
        movzx ebx, al
        END
APIC "rtc.set_holds_uip_clear", "MC146818 data sheet"
        BODY
        FAULTS NONE
        WANT r_rbx, 0, 0x80
        mov al, 0xb
        out 0x70, al
        mov al, 0x82
        out 0x71, al
        mov al, 0xa
        out 0x70, al
        in al, 0x71
        movzx ebx, al
        mov al, 0xb
        out 0x70, al
        mov al, 2
        out 0x71, al
        END
APIC "rtc.register_c_clears_on_read", "MC146818 data sheet"
        BODY
        FAULTS NONE
        WANT r_rbx, 0xc0, 0xc0
        WANT r_rdx, 0, 0x80
        rtc_periodic
        call pit_10ms
        mov al, 0xc
        out 0x70, al
        in al, 0x71
        movzx ebx, al
        in al, 0x71
        movzx edx, al
        rtc_off
        END
APIC "rtc.bcd", "MC146818 data sheet"
        BODY
        FAULTS NONE
        WANT r_rbx, 0x20, 0xff          ; the century, as the clock keeps it in BCD
        mov al, 0x32
        out 0x70, al
        in al, 0x71
        movzx ebx, al
        END
image_done
