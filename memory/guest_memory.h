// Host memory behind the guest: RAM, ROMs and video memory in one reservation, with one flag
// byte per page. A page's number inside the pool names its contents wherever (and however often)
// the memory map shows it, so caches of decoded or translated code are keyed by pool offset.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/types.h"

namespace dragoman {

/// Per-page flags.
enum PageFlag : u8 {
  kPageHasCode =
      1 << 0,  ///< decoded or translated code came from this page; writes take the slow path
  kPageDirty = 1 << 1,  ///< written since the flag was last cleared
  kPageTracked =
      1 << 2,          ///< someone wants kPageDirty to be exact (display); see GuestMemory::track
  kPageUsed = 1 << 3,  ///< see GuestMemory::note_use
};

/// Told when bytes of a page with kPageHasCode change, by the CPU or by DMA.
class CodeWriteListener {
 public:
  virtual ~CodeWriteListener() = default;
  /// Called after the write. `offset` is a pool offset; the range does not cross a page.
  virtual void code_written(u64 offset, u64 length) = 0;
};

/// Told when pages of the pool are to be written through the slow path again (dirty tracking,
/// new code), so that cached direct write pointers to them are dropped.
class WriteCacheListener {
 public:
  virtual ~WriteCacheListener() = default;
  virtual void drop_write_pointers(u64 first_page, u64 page_count) = 0;
};

/// The pool. RAM occupies pool offsets 0..ram_size()-1; other blocks follow.
class GuestMemory {
 public:
  /// Reserves address space for `ram_bytes` (a multiple of the page size) plus video memory and
  /// ROMs. Pages cost host memory only when touched. Fails when the host refuses.
  static Result<std::unique_ptr<GuestMemory>> create(u64 ram_bytes);
  ~GuestMemory();
  GuestMemory(const GuestMemory&) = delete;
  GuestMemory& operator=(const GuestMemory&) = delete;

  u8* base() const { return base_; }
  /// File the pool is a mapping of, from its start, for further views of pages; -1 when the host
  /// could not make one.
  int file() const { return file_; }
  /// Bytes of the pool in use: RAM and what allocate() gave away.
  u64 used() const { return allocated_; }
  u8* ram() const { return base_; }
  u64 ram_size() const { return ram_size_; }
  std::span<u8> ram_span() const { return {base_, ram_size_}; }

  /// Takes a page-aligned, zeroed block of `bytes` from the pool for a ROM or video memory.
  /// The space for those is 96 MiB in all; asking for more is a bug of the board.
  u8* allocate(u64 bytes);

  /// Pool offset of a host pointer obtained from this pool.
  u64 offset_of(const u8* host) const { return static_cast<u64>(host - base_); }
  bool contains(const u8* host) const { return host >= base_ && host < base_ + pool_size_; }
  u8* page_flags() { return flags_.data(); }
  u8 flags(u64 page) const { return flags_[page]; }

  /// This page will be written from now on. Where several pages of 2 MiB of RAM come into use, the
  /// host is asked for one huge page: it costs a fraction of so many small ones.
  void note_use(u64 page) {
    if (!(flags_[page] & kPageUsed)) first_use(page);
  }
  /// The same for all pages of a range of the pool.
  void note_use_of(u64 offset, u64 length) {
    for (u64 page = offset >> kPageShift; page << kPageShift < offset + length; ++page)
      note_use(page);
  }

  /// Zeroes bytes of the pool, giving whole pages back to the host, as from outside the guest: see
  /// note_write().
  void clear(u64 offset, u64 length);

  /// Marks a page as holding decoded code; later writes reach the code listener.
  void mark_code(u64 page);
  void clear_code(u64 page) { flags_[page] &= static_cast<u8>(~kPageHasCode); }

  /// Starts dirty tracking of a page range: kPageDirty becomes exact for it.
  void track(u64 first_page, u64 count);
  /// Reads and clears the dirty flag of a tracked page.
  bool take_dirty(u64 page);

  /// To be called after every write that did not go through a cached write pointer: sets the
  /// dirty flags and tells the code listener about pages with code.
  void note_write(u64 offset, u64 length);

  void set_code_listener(CodeWriteListener* listener) { code_listener_ = listener; }
  CodeWriteListener* code_listener() const { return code_listener_; }
  void add_write_cache(WriteCacheListener* listener) { write_caches_.push_back(listener); }
  void remove_write_cache(WriteCacheListener* listener) { std::erase(write_caches_, listener); }

 private:
  GuestMemory() = default;
  void drop_write_pointers(u64 first_page, u64 count);
  void first_use(u64 page);

  u8* base_ = nullptr;
  int file_ = -1;
  u64 ram_size_ = 0;
  u64 pool_size_ = 0;
  u64 allocated_ = 0;
  std::vector<u8> flags_;
  std::vector<u16> used_;  ///< pages in use, for every huge page of RAM while the host makes them
  CodeWriteListener* code_listener_ = nullptr;
  std::vector<WriteCacheListener*> write_caches_;
};

}  // namespace dragoman
