// Message signalled interrupt capability with one message. PCI Local Bus Specification 3.0, 6.8.1.
#pragma once

#include "devices/pci/msi_sink.h"
#include "devices/pci/pci_function.h"

namespace dragoman {

/// All its state is in configuration space. The owner constructs it in its constructor (it adds the
/// capability) and must not use INTx while enabled().
class Msi {
 public:
  Msi(PciFunction& function, MsiSink& sink);

  bool enabled() const;
  /// Sends the message, if enabled and if the function may master the bus.
  void notify();

 private:
  PciFunction& function_;
  MsiSink& sink_;
  u8 capability_;
};

}  // namespace dragoman
