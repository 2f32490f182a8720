; mode: c32 (compatibility mode, CPL 3)
; cpu: max
; expect: what an Intel processor did (dragoman-test host), where SDM vol. 2 leaves it open
%define MODE c32
%include "case.inc"

case "pop of a segment register reads the selector only"
        given rsp, kFar + 0xffe
        poke 2, kFar + 0xffe, kData3
        poke 8, kPageTable64 + 8 * ((kFar >> 12) + 1), 0
        expect fs, kData3
        expect rsp, kFar + 0x1002
begin
        pop fs
done
case "lar shows bits 19:16 of the limit"
        given rbx, kData3
        expect rax, 0x00cff300
        expect rflags, ZF, ZF
begin
        lar eax, ebx
done
case "an unmasked x87 exception keeps a store from a null segment"
        vectors
        given fs, 0
        given fcw, 0x37e
        expect fsw, 0x80c1
begin
        fstp dword [fs:M]
done
end_of_cases
