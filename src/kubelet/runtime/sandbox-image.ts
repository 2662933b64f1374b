/**
 * The sandbox ("pause") image, built into the product so that no node ever pulls one. Its only file is a static program of about
 * 200 bytes, assembled here: it holds the pod's namespaces open, ends on SIGTERM and SIGINT, and reaps orphans where pods share a
 * PID namespace. It blocks the three signals and waits for them in turn, so PID 1's rule of ignoring unhandled signals never applies:
 *
 *   rt_sigprocmask(SIG_BLOCK, {INT TERM CHLD});
 *   for (;;) switch (rt_sigtimedwait({INT TERM CHLD}, no info, no timeout)) {
 *     case SIGINT: case SIGTERM: exit(0);
 *     case SIGCHLD: while (wait4(-1, no status, WNOHANG, no usage) > 0);
 *   }
 *
 * Source: Linux system call tables of x86-64 and arm64; System V ABI chapter 4 (ELF).
 */
import { goArchitecture, ociArchive } from './oci-archive.ts';

export const sandboxImage = 'knarr.local/pause:1';

/** For this machine's architecture unless told. Throws for one we have no program for. */
export function sandboxImageArchive(architecture: string = goArchitecture): Buffer {
  return ociArchive({ names: [sandboxImage], architecture, config: { Entrypoint: ['/pause'], User: '65535:65535' },
    files: [{ path: 'pause', type: 'file', body: pauseProgram(architecture), mode: 0o755 }] });
}

/** Bit n-1 for signal n. */
const signalSet = (1n << 1n) | (1n << 14n) | (1n << 16n); // SIGINT 2, SIGTERM 15, SIGCHLD 17

export function pauseProgram(architecture: string): Buffer {
  if (architecture === 'amd64') return elf(0x3e, 0x1000, amd64());
  if (architecture === 'arm64') return elf(0xb7, 0x10000, arm64());
  throw new Error(`no sandbox image for architecture ${architecture}: start the node with a container runtime that brings its own (--container-runtime-endpoint)`);
}

/** One read-and-execute segment that holds the whole file; execution starts right after the headers. */
function elf(machine: number, pageBytes: number, code: Buffer): Buffer {
  const headerBytes = 64 + 56;
  const base = 0x400000n;
  const size = BigInt(headerBytes + code.length);
  const header = Buffer.alloc(headerBytes);
  header.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]); // ELF, 64 bits, little-endian, version 1
  header.writeUInt16LE(2, 16); // ET_EXEC
  header.writeUInt16LE(machine, 18);
  header.writeUInt32LE(1, 20);
  header.writeBigUInt64LE(base + BigInt(headerBytes), 24); // entry point
  header.writeBigUInt64LE(64n, 32); // program header table
  header.writeUInt16LE(64, 52);
  header.writeUInt16LE(56, 54);
  header.writeUInt16LE(1, 56);
  header.writeUInt16LE(64, 58);
  header.writeUInt32LE(1, 64); // PT_LOAD
  header.writeUInt32LE(5, 68); // readable, executable
  header.writeBigUInt64LE(base, 80);
  header.writeBigUInt64LE(base, 88);
  header.writeBigUInt64LE(size, 96);
  header.writeBigUInt64LE(size, 104);
  header.writeBigUInt64LE(BigInt(pageBytes), 112);
  return Buffer.concat([header, code]);
}

function signalSetBytes(): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(signalSet);
  return bytes;
}

/** Offsets in the comments are from the first instruction. */
function amd64(): Buffer {
  return Buffer.concat([Buffer.from([
    0xb8, 14, 0, 0, 0, //                0 mov eax, 14           rt_sigprocmask
    0x31, 0xff, //                       5 xor edi, edi          SIG_BLOCK
    0x48, 0x8d, 0x35, 89, 0, 0, 0, //    7 lea rsi, [rip + 89]   set at 103
    0x31, 0xd2, //                      14 xor edx, edx
    0x41, 0xba, 8, 0, 0, 0, //          16 mov r10d, 8
    0x0f, 0x05, //                      22 syscall
    0xb8, 128, 0, 0, 0, //              24 mov eax, 128          rt_sigtimedwait
    0x48, 0x8d, 0x3d, 67, 0, 0, 0, //   29 lea rdi, [rip + 67]   set at 103
    0x31, 0xf6, //                      36 xor esi, esi
    0x31, 0xd2, //                      38 xor edx, edx
    0x41, 0xba, 8, 0, 0, 0, //          40 mov r10d, 8
    0x0f, 0x05, //                      46 syscall
    0x83, 0xf8, 15, //                  48 cmp eax, 15           SIGTERM
    0x74, 41, //                        51 je 94
    0x83, 0xf8, 2, //                   53 cmp eax, 2            SIGINT
    0x74, 36, //                        56 je 94
    0x83, 0xf8, 17, //                  58 cmp eax, 17           SIGCHLD
    0x75, 0xd9, //                      61 jne 24
    0xb8, 61, 0, 0, 0, //               63 mov eax, 61           wait4
    0x48, 0x83, 0xcf, 0xff, //          68 or rdi, -1
    0x31, 0xf6, //                      72 xor esi, esi
    0xba, 1, 0, 0, 0, //                74 mov edx, 1            WNOHANG
    0x45, 0x31, 0xd2, //                79 xor r10d, r10d
    0x0f, 0x05, //                      82 syscall
    0x85, 0xc0, //                      84 test eax, eax
    0x7f, 0xe7, //                      86 jg 63
    0xeb, 0xbe, //                      88 jmp 24
    0x90, 0x90, 0x90, 0x90, //          90 nop
    0xb8, 60, 0, 0, 0, //               94 mov eax, 60           exit
    0x31, 0xff, //                      99 xor edi, edi
    0x0f, 0x05, //                     101 syscall
  ]), signalSetBytes()]); //           103 set
}

function arm64(): Buffer {
  const [x0, x1, x2, x3, x8] = [0, 1, 2, 3, 8];
  const loop = 6; // words from the start
  const reap = 18;
  const end = 27;
  const set = 30;
  const words: number[] = [];
  const mov = (register: number, value: number) => words.push(0xd2800000 + value * 32 + register);
  const adr = (register: number, target: number) => words.push(0x10000000 + (target - words.length) * 32 + register); // immhi is the offset in words
  const supervisorCall = () => words.push(0xd4000001);
  const compare = (value: number) => words.push(0x7100001f + value * 1024); // w0
  const branchIf = (condition: number, target: number) => words.push(0x54000000 + ((target - words.length) & 0x7ffff) * 32 + condition);
  const [equal, notEqual, greater] = [0, 1, 12];
  mov(x8, 135); mov(x0, 0); adr(x1, set); mov(x2, 0); mov(x3, 8); supervisorCall(); // rt_sigprocmask
  mov(x8, 137); adr(x0, set); mov(x1, 0); mov(x2, 0); mov(x3, 8); supervisorCall(); // rt_sigtimedwait
  compare(15); branchIf(equal, end);
  compare(2); branchIf(equal, end);
  compare(17); branchIf(notEqual, loop);
  mov(x8, 260); words.push(0x92800000); mov(x1, 0); mov(x2, 1); mov(x3, 0); supervisorCall(); // wait4, x0 = -1
  compare(0); branchIf(greater, reap);
  words.push(0x14000000 + ((loop - words.length) & 0x3ffffff)); // b loop
  mov(x8, 93); mov(x0, 0); supervisorCall(); // exit
  const code = Buffer.alloc(words.length * 4);
  words.forEach((word, index) => code.writeUInt32LE(word, index * 4));
  return Buffer.concat([code, signalSetBytes()]);
}
