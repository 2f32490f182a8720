#include "frontends/media.h"

#include "devices/block/open_image.h"

namespace dragoman {

void MediaBay::count(MachineConfig& config) {
  for (DriveConfig& drive : config.drives) {
    if (drive.image != nullptr) drive.image = std::make_shared<CountedImage>(drive.image);
  }
}

MediaBay::MediaBay(Machine& machine, const MachineConfig& config)
    : machine_(machine),
      name_(config.name),
      uuid_(config.uuid),
      ram_bytes_(config.ram_bytes),
      floppies_(2) {
  unsigned virtio = 0;
  unsigned nvme = 0;
  for (const DriveConfig& drive : config.drives) {
    Bay bay;
    bay.interface = drive.interface;
    bay.index = drive.index;
    bay.drive = bays_.size();
    switch (drive.interface) {
      case DriveInterface::kIde:
        bay.info.name =
            fmt::format("ide{}-{}{}", drive.index / ide_units_per_bus(config.board),
                        drive.cdrom ? "cd" : "hd", drive.index % ide_units_per_bus(config.board));
        break;
      case DriveInterface::kSata:
        bay.info.name =
            fmt::format("sata{}-{}{}", drive.controller, drive.cdrom ? "cd" : "hd", drive.index);
        break;
      case DriveInterface::kFloppy:
        bay.info.name = fmt::format("floppy{}", drive.index);
        break;
      case DriveInterface::kVirtio:
        bay.info.name = fmt::format("virtio{}", virtio++);
        break;
      case DriveInterface::kNvme:
        bay.info.name = fmt::format("nvme{}", nvme++);
        break;
    }
    bay.info.kind = drive.interface == DriveInterface::kFloppy ? DriveInfo::Kind::kFloppy
                    : drive.cdrom                              ? DriveInfo::Kind::kCdRom
                                                               : DriveInfo::Kind::kDisk;
    if (drive.image != nullptr) {
      bay.image = std::dynamic_pointer_cast<CountedImage>(drive.image);
      bay.info.file = drive.image->description();
      bay.info.bytes = drive.image->size();
      bay.info.read_only = drive.image->read_only();
    }
    bays_.push_back(std::move(bay));
  }
  for (std::size_t i = 0; i < bays_.size(); ++i) {
    AtapiCdrom* const drive = cdrom(bays_[i]);
    if (drive != nullptr) {
      drive->set_tray_listener([this, i](bool open) { move_tray(bays_[i], open); });
    }
  }
  // A PC has a floppy drive, also when nobody put a disk in.
  if (find("floppy0") == nullptr) {
    Bay bay;
    bay.interface = DriveInterface::kFloppy;
    bay.info.name = "floppy0";
    bay.info.kind = DriveInfo::Kind::kFloppy;
    bays_.push_back(std::move(bay));
  }
}

MediaBay::~MediaBay() {
  for (const Bay& bay : bays_) {
    if (AtapiCdrom* const drive = cdrom(bay)) drive->set_tray_listener({});
  }
}

AtapiCdrom* MediaBay::cdrom(const Bay& bay) const {
  return bay.interface == DriveInterface::kFloppy ? nullptr : machine_.board().cdrom(bay.drive);
}

MediaBay::Bay* MediaBay::find(const std::string& name) {
  for (Bay& bay : bays_) {
    if (bay.info.name == name) return &bay;
  }
  return nullptr;
}

Result<MediaBay::Bay*> MediaBay::removable(const std::string& name) {
  Bay* bay = find(name);
  if (bay == nullptr) return error("Device '{}' not found", name);
  if (!bay->info.removable()) return error("Device '{}' is not removable", name);
  if (machine_.history() != nullptr) {
    return error("the medium of '{}' stays while the past is recorded; start with -rewind off",
                 name);
  }
  return bay;
}

std::vector<DriveInfo> MediaBay::drives() const {
  std::vector<DriveInfo> list;
  for (const Bay& bay : bays_) {
    list.push_back(bay.info);
    if (bay.image != nullptr) list.back().counts = bay.image->counts();
    if (const AtapiCdrom* const drive = cdrom(bay)) list.back().locked = drive->tray_locked();
  }
  return list;
}

Result<void> MediaBay::insert(Bay& bay, std::shared_ptr<BlockImage> image) {
  PcBoard& board = machine_.board();
  std::shared_ptr<CountedImage> counted;
  if (image != nullptr) image = counted = std::make_shared<CountedImage>(image);
  if (bay.interface == DriveInterface::kFloppy) {
    if (board.floppy() == nullptr) return error("there is no floppy controller");
    board.floppy()->set_media(bay.index, image.get());
    floppies_[bay.index % 2] = image;
  } else {
    AtapiCdrom* const cdrom = board.cdrom(bay.drive);
    if (cdrom == nullptr) return error("there is no CD-ROM drive '{}'", bay.info.name);
    cdrom->set_medium(image);
  }
  bay.image = counted;
  bay.info.file = image != nullptr ? image->description() : "";
  bay.info.bytes = image != nullptr ? image->size() : 0;
  bay.info.read_only = image != nullptr && image->read_only();
  return {};
}

Result<void> MediaBay::unlock(Bay& bay, bool force) {
  AtapiCdrom* const drive = cdrom(bay);
  if (drive == nullptr || force || !drive->tray_locked() || drive->tray_open()) return {};
  drive->request_eject();
  return error(
      "Device '{}' is locked and force was not specified, wait for tray to open and try "
      "again",
      bay.info.name);
}

Result<void> MediaBay::change(const std::string& drive, const std::string& file, bool force) {
  auto bay = removable(drive);
  if (!bay) return bay.error();
  if (auto free = unlock(**bay, force); !free) return free;
  ImageOptions options;
  options.access = (*bay)->interface == DriveInterface::kFloppy ? ImageAccess::kReadWrite
                                                                : ImageAccess::kReadOnly;
  auto image = open_image(file, options);
  if (!image && !(*bay)->info.file.empty() && (*bay)->info.file == file) {
    // The same file again: as it is open, a second opening for writing is refused.
    if (auto out = insert(**bay, nullptr); !out) return out;
    image = open_image(file, options);
  }
  if (!image && options.access == ImageAccess::kReadWrite) {
    options.access = ImageAccess::kReadOnly;
    image = open_image(file, options);
  }
  if (!image) return image.error();
  move_tray(**bay, true);
  if (auto done = insert(**bay, image.take()); !done) return done;
  move_tray(**bay, false);
  return {};
}

Result<void> MediaBay::eject(const std::string& drive, bool force) {
  auto bay = removable(drive);
  if (!bay) return bay.error();
  if (auto free = unlock(**bay, force); !free) return free;
  move_tray(**bay, true);
  return insert(**bay, nullptr);
}

/// Drives with a tray are CD-ROM drives.
void MediaBay::move_tray(Bay& bay, bool open) {
  if (bay.interface == DriveInterface::kFloppy || bay.info.tray_open == open) return;
  bay.info.tray_open = open;
  for (const TrayListener& listener : tray_listeners_) listener(bay.info.name, open);
}

MonitorHost MediaBay::host() {
  MonitorHost host;
  host.name = name_;
  host.uuid = uuid_;
  host.ram_bytes = ram_bytes_;
  host.drives = [this] { return drives(); };
  host.change = [this](const std::string& drive, const std::string& file, bool force) {
    return change(drive, file, force);
  };
  host.eject = [this](const std::string& drive, bool force) { return eject(drive, force); };
  host.watch_trays = [this](TrayListener listener) {
    tray_listeners_.push_back(std::move(listener));
  };
  return host;
}

}  // namespace dragoman
