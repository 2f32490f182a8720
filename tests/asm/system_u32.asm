; mode: u32 (32-bit protected mode, CPL 3, paging)
; cpu: max
; expect: in each case
%define MODE u32
%include "case.inc"

        faulting GP, 0, hlt
        faulting GP, 0, cli
        faulting GP, 0, sti
        faulting GP, 0, clts
        faulting GP, 0, mov eax, cr0
        faulting GP, 0, mov cr3, eax
        faulting GP, 0, mov eax, dr7
        faulting GP, 0, lgdt [M]
        faulting GP, 0, lidt [M]
        faulting GP, 0, lldt ax
        faulting GP, 0, ltr ax
        faulting GP, 0, lmsw ax
        faulting GP, 0, invlpg [M]
        faulting GP, 0, wbinvd
        faulting GP, 0, rdmsr
        faulting GP, 0, wrmsr
        faulting GP, 0, in al, 0x60
        faulting GP, 0, out dx, eax
        faulting GP, 0, insd
        faulting GP, 0, outsw
        faulting GP, 0x21 * 8 + 2, int 0x21
        faulting GP, kCode0, jmp kCode0:0x8000
        faulting GP, kData0, jmp kData0:0x8000
        faulting UD, -1, ud2

case "page not present, read"
        poke 4, kPageTable32 + 4 * 2, 0
        faults PF_, 4
        faults_at %$entry
        fault_address M + 0x123
begin
        mov al, [M + 0x123]
done
case "page not present, write"
        poke 4, kPageTable32 + 4 * 2, 0
        faults PF_, 6
        fault_address M
begin
        mov [M], eax
done
case "read-only page, read"
        poke 4, kPageTable32 + 4 * 2, M | 5
        poke 4, M, 0x1234
        expect rax, 0x1234
        expect_memory 4, kPageTable32 + 4 * 2, M | 0x25
begin
        mov eax, [M]
done
case "read-only page, write"
        poke 4, kPageTable32 + 4 * 2, M | 5
        faults PF_, 7
        fault_address M + 8
        expect_memory 4, kPageTable32 + 4 * 2, M | 5
begin
        add [M + 8], eax
done
case "supervisor page"
        poke 4, kPageTable32 + 4 * 2, M | 3
        faults PF_, 5
        fault_address M
begin
        mov eax, [M]
done
case "supervisor page table"
        poke 4, kPageDir32, kPageTable32 | 3
        faults PF_, 5
        faults_at %$entry
        fault_address %$entry
begin
        nop
done
case "write sets accessed and dirty"
        expect_memory 4, kPageTable32 + 4 * 2, M | 0x67
begin
        mov [M], eax
done
case "read sets accessed only"
        any rax
        expect_memory 4, kPageTable32 + 4 * 2, M | 0x27
begin
        mov eax, [M]
done
case "dword across a page, second page not present"
        poke 4, kPageTable32 + 4 * 0x15, 0
        faults PF_, 6
        fault_address kFar + 0x1000
        expect_memory 2, kFar + 0xffe, 0
begin
        mov dword [kFar + 0xffe], -1
done
case "rep movsb stops at the page that is not present"
        given rcx, 32
        given rsi, M
        given rdi, kFar + 0xff0
        given rax, 0
        poke 4, kPageTable32 + 4 * 0x15, 0
        faults PF_, 6
        faults_at %$entry
        fault_address kFar + 0x1000
        expect rcx, 16
        expect rsi, M + 16
        expect rdi, kFar + 0x1000
begin
        rep movsb
done
case "page remapped to another frame"
        poke 4, kPageTable32 + 4 * 2, 0x5007
        poke 4, 0x5010, 0xabcd
        expect rax, 0xabcd
begin
        mov eax, [M + 0x10]
done
case "fault pushes SS, ESP, EFLAGS, CS, EIP and the error code on the ring 0 stack"
        given rflags, CF | 2
        poke 4, kPageTable32 + 4 * 2, 0
        faults PF_, 4
        expect rsp, kStack0 - 24
        expect_memory 4, kStack0 - 4, kData3
        expect_memory 4, kStack0 - 8, kStack3
        expect_memory 4, kStack0 - 12, 0x10003
        expect_memory 4, kStack0 - 16, kCode3
        expect_memory 4, kStack0 - 20, %$entry
        expect_memory 4, kStack0 - 24, 4
begin
        mov eax, [M]
done
case "alignment check"
        given rflags, AC | 2
        given cr0, 0x80050031
        faults AC_, 0
        faults_at %$entry
begin
        mov eax, [M + 1]
done
case "popf changes neither IF nor IOPL"
        given rsp, kStack3 - 4
        poke 4, kStack3 - 4, 0x3202 | CF
        expect rsp, kStack3
        expect rflags, CF | 2
begin
        popfd
done
case "call gate to ring 0 copies a parameter"
        gate kGdt + kFree, kCode0, %$end, 0xec, 1
        poke 4, kStack3 - 4, 0
        expect cs, kCode0
        expect ss, kData0
        expect cpl, 0
        expect rsp, kStack0 - 20
        expect_memory 4, kStack0 - 4, kData3
        expect_memory 4, kStack0 - 8, kStack3 - 4
        expect_memory 4, kStack0 - 12, 0xfeed
        expect_memory 4, kStack0 - 16, kCode3
begin
        push dword 0xfeed
        call kFree | 3:0
done
case "call gate of DPL 0"
        gate kGdt + kFree, kCode0, %$end, 0x8c, 0
        faults GP, kFree
begin
        call kFree | 3:0
done
case "call gate not present"
        gate kGdt + kFree, kCode0, %$end, 0x6c, 0
        faults NP, kFree
begin
        call kFree | 3:0
done
case "jmp far to conforming code stays at CPL 3"
        expect cs, kConforming | 3
        expect cpl, 3
begin
        jmp kConforming:%$end
done
case "mov ds, DPL 0 data"
        given rax, kData0
        faults GP, kData0
begin
        mov ds, ax
done
case "mov ss, DPL 0 data"
        given rax, kData0 | 3
        faults GP, kData0
begin
        mov ss, ax
done
case "mov ss, RPL 0"
        given rax, kData3 & 0xfffc
        faults GP, kData3 & 0xfffc
begin
        mov ss, ax
done
case "into"
        given rflags, OF | 2
        faults OF_
        faults_at %$after
begin
        into
%$after: nop
done
case "bound below"
        given rax, 4
        poke 8, M, 0x0000000900000005
        faults BR
        faults_at %$entry
begin
        bound eax, [M]
done
case "code in a page that is not present"
        given rbx, M
        poke 4, kPageTable32 + 4 * 2, 0
        faults PF_, 4
        faults_at M
        fault_address M
begin
        jmp ebx
done
case "smsw at CPL 3"
        expect rax, 0x80010031
begin
        smsw eax
done

end_of_cases
