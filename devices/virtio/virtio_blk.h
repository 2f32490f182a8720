// Virtio block device (1AF4:1001). Virtual I/O Device (VIRTIO) 1.1, 5.2.
#pragma once

#include <memory>
#include <string>

#include "devices/block_image.h"
#include "devices/virtio/virtio_pci.h"

namespace dragoman {

/// One request queue over an image. A read-only image shows the read-only feature. Errors of the
/// host and accesses past the end become VIRTIO_BLK_S_IOERR.
class VirtioBlk final : public VirtioPci {
 public:
  /// `serial` (at most 20 characters) answers GET_ID.
  VirtioBlk(std::string name, const PciSpaces& spaces, MsiSink& msi, Log& log,
            std::shared_ptr<BlockImage> image, std::string serial);

 private:
  u32 device_features() const override;
  std::vector<u8> device_config() const override;
  void queue_notified(unsigned queue) override;

  /// Returns the bytes written to the guest, the status byte included.
  u32 handle(const VirtioChain& chain);
  u8 read(const VirtioChain& chain, u64 sector, u64 bytes);
  u8 write(const VirtioChain& chain, u64 sector);
  u8 discard_or_zero(const VirtioChain& chain, bool zero);
  bool in_range(u64 sector, u64 bytes) const;
  u8 host_result(const Result<void>& result);

  std::shared_ptr<BlockImage> image_;
  std::string serial_;
  std::vector<u8> staging_;
};

}  // namespace dragoman
