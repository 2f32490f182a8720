// Drives of a running machine as monitors see them: names, media, changing and ejecting.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "frontends/monitor/monitor.h"
#include "machine/machine.h"

namespace dragoman {

/// Names drives as QEMU does: ide1-cd0, ide0-hd0, floppy0, virtio0; and sata0-cd1 for port 1 of the
/// first AHCI adapter that was added.
class MediaBay {
 public:
  /// Before a machine is made: what it does with its images is to be counted.
  static void count(MachineConfig& config);
  /// Both outlive the bay.
  MediaBay(Machine& machine, const MachineConfig& config);
  ~MediaBay();
  MediaBay(const MediaBay&) = delete;
  MediaBay& operator=(const MediaBay&) = delete;

  std::vector<DriveInfo> drives() const;
  /// Opens `file` and puts it into a removable drive; the medium inside goes. Where the guest has
  /// locked the tray it is asked to let go, and it is an error without `force`.
  Result<void> change(const std::string& drive, const std::string& file, bool force);
  Result<void> eject(const std::string& drive, bool force);
  /// All of it, for monitors.
  MonitorHost host();

 private:
  struct Bay {
    DriveInfo info;
    DriveInterface interface = DriveInterface::kIde;
    unsigned index = 0;
    std::size_t drive = 0;  ///< entry of MachineConfig::drives
    std::shared_ptr<CountedImage> image;
  };
  Bay* find(const std::string& name);
  AtapiCdrom* cdrom(const Bay& bay) const;
  Result<void> unlock(Bay& bay, bool force);
  Result<Bay*> removable(const std::string& name);
  Result<void> insert(Bay& bay, std::shared_ptr<BlockImage> image);

  using TrayListener = std::function<void(const std::string& drive, bool open)>;
  void move_tray(Bay& bay, bool open);

  Machine& machine_;
  std::vector<TrayListener> tray_listeners_;
  std::string name_;
  std::array<u8, 16> uuid_;
  u64 ram_bytes_;
  std::vector<Bay> bays_;
  std::vector<std::shared_ptr<BlockImage>> floppies_;  ///< images the controller holds
};

}  // namespace dragoman
