; The guided example of README.md: adds up a table of structures, calls a small function for each.
; nasm -f bin -o loop.bin loop.asm
bits 64
  mov ecx, 5000
  xor eax, eax
next:
  mov rdx, [rsi]        ; two fields of a structure, off the same register
  add rax, [rsi+8]
  cmp rdx, rax          ; its flags are read by the jump below
  mov [rsi+16], rdx     ; a store between, which needs a probe
  jb less
  sub rax, rdx
less:
  call mix
  dec ecx
  jnz next
  hlt
mix:
  lea rax, [rax+rax*2]
  ret
