// -d op, out_asm, mmu, page: the same observations as lines of text. And the list that lets several
// observers watch one machine.
#pragma once

#include <vector>

#include "base/log.h"
#include "cpu/observer.h"
#include "frontends/trace/symbols.h"
#include "jit/region_observer.h"

namespace dragoman {

class TraceTextLog final : public RegionObserver, public CpuObserver {
 public:
  TraceTextLog(Log& log, const Symbols& symbols) : log_(log), symbols_(symbols) {}
  /// One of its categories is enabled.
  static bool wanted(const Log& log);

  void translated(const RegionRecord& record) override;
  void linked(u64 from, u64 to, u64 rip) override;
  void retired(u64 id, RetireCause cause) override;
  void cache_emptied() override;
  void page_walked(const ShadowFill& fill) override;
  void page_walk_failed(u64 linear, u32 error_code) override;
  void shadow_flushed(ShadowFlush what, u64 linear) override;

 private:
  Log& log_;
  const Symbols& symbols_;
};

/// Passes everything on to several observers.
class ObserverList final : public RegionObserver, public CpuObserver {
 public:
  template <class Observer>
  void add(Observer& observer) {
    regions_.push_back(&observer);
    cpus_.push_back(&observer);
  }
  bool empty() const { return cpus_.empty(); }

  void translated(const RegionRecord& r) override {
    each(regions_, &RegionObserver::translated, r);
  }
  void linked(u64 from, u64 to, u64 rip) override {
    each(regions_, &RegionObserver::linked, from, to, rip);
  }
  void retired(u64 id, RetireCause cause) override {
    each(regions_, &RegionObserver::retired, id, cause);
  }
  void cache_emptied() override { each(regions_, &RegionObserver::cache_emptied); }
  void slice_began() override { each(cpus_, &CpuObserver::slice_began); }
  void event_taken(const FaultRecord& r) override { each(cpus_, &CpuObserver::event_taken, r); }
  void page_walked(const ShadowFill& f) override { each(cpus_, &CpuObserver::page_walked, f); }
  void page_walk_failed(u64 linear, u32 error_code) override {
    each(cpus_, &CpuObserver::page_walk_failed, linear, error_code);
  }
  void shadow_flushed(ShadowFlush what, u64 linear) override {
    each(cpus_, &CpuObserver::shadow_flushed, what, linear);
  }
  void device_accessed(u64 physical, unsigned size, bool write) override {
    each(cpus_, &CpuObserver::device_accessed, physical, size, write);
  }
  void port_accessed(u16 port, unsigned size, bool write) override {
    each(cpus_, &CpuObserver::port_accessed, port, size, write);
  }

 private:
  template <class Observer, class... Parameters, class... Arguments>
  static void each(const std::vector<Observer*>& list, void (Observer::*call)(Parameters...),
                   const Arguments&... arguments) {
    for (Observer* observer : list) (observer->*call)(arguments...);
  }
  std::vector<RegionObserver*> regions_;
  std::vector<CpuObserver*> cpus_;
};

}  // namespace dragoman
