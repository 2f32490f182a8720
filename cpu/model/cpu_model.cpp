// The -cpu models and the parsing of -cpu.
#include "cpu/model/cpu_model.h"

#include <algorithm>
#include <charconv>
#include <initializer_list>
#include <optional>

#include "cpu/model/host_features.h"

namespace dragoman {
namespace {

struct FeatureName {
  Feature feature;
  std::string_view name;
};
constexpr FeatureName kFeatureNames[] = {
#define FEATURE(name, flag, leaf, subleaf, reg, bit_number) {Feature::k##name, flag},
#include "cpu/isa/features.inc"
#undef FEATURE
};

/// Spellings QEMU accepts beside those of /proc/cpuinfo.
struct Alias {
  std::string_view alias;
  std::string_view name;
};
constexpr Alias kAliases[] = {
    {"sse3", "pni"},
    {"sse4.1", "sse4_1"},
    {"sse4.2", "sse4_2"},
    {"lzcnt", "abm"},
    {"tsc-deadline", "tsc_deadline_timer"},
    {"tsc_deadline", "tsc_deadline_timer"},
    {"sha-ni", "sha_ni"},
    {"lahf-lm", "lahf_lm"},
    {"spec-ctrl", "spec_ctrl"},
    {"arch-capabilities", "arch_capabilities"},
    {"tsc-adjust", "tsc_adjust"},
    {"i64", "lm"},
    {"cmpxchg16b", "cx16"},
    {"cx8", "cx8"},
};

using Features = std::initializer_list<Feature>;
using F = Feature;

const Features k486Features = {F::kFpu, F::kVme};
const Features kPentiumFeatures = {F::kFpu, F::kVme, F::kDe,  F::kPse, F::kTsc,
                                   F::kMsr, F::kMce, F::kCx8, F::kMmx, F::kApic};
const Features kPentium3Features = {F::kPae,  F::kSep, F::kMtrr,  F::kPge,  F::kMca,
                                    F::kCmov, F::kPat, F::kPse36, F::kFxsr, F::kSse};
const Features kBaseline64Features = {F::kClflush, F::kSse2, F::kSse3, F::kCx16, F::kLm,
                                      F::kSyscall, F::kNx, F::kLahfLm, F::kHypervisor, F::kX2apic,
                                      F::kInvariantTsc, F::kTscDeadline, F::kTscAdjust, F::kArat,
                                      F::kPrefetchw,
                                      // What keeps the guest from paying for mitigations.
                                      F::kSpecCtrl, F::kArchCapabilities};
const Features kV2Features = {F::kSsse3, F::kSse41, F::kSse42, F::kPopcnt};
const Features kV3Features = {F::kAvx, F::kAvx2,  F::kBmi1,  F::kBmi2, F::kF16c,
                              F::kFma, F::kLzcnt, F::kMovbe, F::kXsave};

FeatureSet feature_set(std::initializer_list<const Features*> lists) {
  FeatureSet set;
  for (const Features* list : lists) {
    for (const Feature feature : *list) set.add(feature);
  }
  return set;
}

struct Template {
  std::string_view name;
  std::string_view vendor;
  std::string_view brand;
  unsigned family, model, stepping;
  u32 max_basic_leaf, max_extended_leaf;
  unsigned physical_bits;
};
constexpr Template kTemplates[] = {
    {"8086", "", "", 0, 0, 0, 0, 0, 32},
    {"286", "", "", 2, 0, 0, 0, 0, 32},
    {"386", "", "", 3, 0, 0, 0, 0, 32},
    {"486", "GenuineIntel", "", 4, 8, 0, 1, 0, 32},
    {"pentium", "GenuineIntel", "", 5, 4, 3, 1, 0, 32},
    {"pentium3", "GenuineIntel", "Intel Pentium III (Dragoman)", 6, 8, 3, 2, 0x80000004, 36},
    {"qemu64", "GenuineIntel", "Dragoman baseline 64-bit processor", 6, 94, 3, 0x16, 0x80000008,
     40},
    {"x86-64-v2", "GenuineIntel", "Dragoman x86-64-v2 processor", 6, 94, 3, 0x16, 0x80000008, 40},
    {"x86-64-v3", "GenuineIntel", "Dragoman x86-64-v3 processor", 6, 94, 3, 0x16, 0x80000008, 40},
    {"max", "GenuineIntel", "Dragoman virtual processor", 6, 106, 6, 0x16, 0x80000008, 40},
};

/// What is different about a processor before the 486.
struct EarlyModel {
  std::string_view name;
  QuirkSet quirks;
  u32 flags_implemented, flags_real_mode, flags_fixed;
};
using Q = Quirk;
constexpr EarlyModel kEarlyModels[] = {
    // FLAGS bits 15:12 are always set.
    {"8086",
     {Q::kOpcodes8086, Q::kLockAnywhere, Q::kNoCoprocessor, Q::kPushSpAfter, Q::kFullShiftCounts,
      Q::kDivideAsTrap, Q::kDecimal8086},
     0xffd7,
     0xffd7,
     0xf002},
    // NT and IOPL cannot be set in real mode.
    {"286",
     {Q::kOpcodes286, Q::kLockAnywhere, Q::kOverrunIsGp, Q::kNoCoprocessor},
     0x7fd7,
     0x0fd7,
     0x0002},
    // No AC, ID and virtual interrupts.
    {"386", {Q::kOpcodes386, Q::kNoCoprocessor}, 0x37fd7, 0x37fd7, 0x0002},
};

FeatureSet template_features(std::string_view name) {
  if (name == "8086" || name == "286" || name == "386") return {};
  if (name == "486") return feature_set({&k486Features});
  if (name == "pentium") return feature_set({&kPentiumFeatures});
  if (name == "pentium3") return feature_set({&kPentiumFeatures, &kPentium3Features});
  if (name == "qemu64") {
    return feature_set({&kPentiumFeatures, &kPentium3Features, &kBaseline64Features});
  }
  if (name == "x86-64-v2") {
    return feature_set({&kPentiumFeatures, &kPentium3Features, &kBaseline64Features, &kV2Features});
  }
  if (name == "x86-64-v3") {
    return feature_set(
        {&kPentiumFeatures, &kPentium3Features, &kBaseline64Features, &kV2Features, &kV3Features});
  }
  FeatureSet all = FeatureSet::all();
  all.remove(F::kMonitor);  // MWAIT only sees interrupts, see execute/system.cpp
  all.remove(F::kSs);
  return all;
}

/// Features that make no sense without another one.
struct Dependency {
  Feature feature;
  Feature needs;
};
constexpr Dependency kDependencies[] = {
    {F::kMmx, F::kFpu},        {F::kFxsr, F::kFpu},       {F::kSse, F::kFxsr},
    {F::kSse2, F::kSse},       {F::kSse3, F::kSse2},      {F::kSsse3, F::kSse3},
    {F::kSse41, F::kSsse3},    {F::kSse42, F::kSse41},    {F::kAes, F::kSse2},
    {F::kPclmulqdq, F::kSse2}, {F::kShaNi, F::kSse2},     {F::kXsave, F::kFxsr},
    {F::kAvx, F::kXsave},      {F::kAvx2, F::kAvx},       {F::kFma, F::kAvx},
    {F::kF16c, F::kAvx},       {F::kXsaveopt, F::kXsave}, {F::kXsavec, F::kXsave},
    {F::kXgetbv1, F::kXsave},  {F::kXsaves, F::kXsavec},  {F::kPku, F::kXsave},
    {F::kLm, F::kPae},         {F::kNx, F::kPae},         {F::kPcid, F::kLm},
    {F::kInvpcid, F::kPcid},   {F::kX2apic, F::kApic},    {F::kTscDeadline, F::kApic},
    {F::kFsgsbase, F::kLm},    {F::kPdpe1gb, F::kLm},     {F::kLahfLm, F::kLm},
    {F::kRdtscp, F::kTsc},     {F::kVaes, F::kAvx},       {F::kVpclmulqdq, F::kAvx},
};

void drop_dependents(FeatureSet& set) {
  for (bool changed = true; changed;) {
    changed = false;
    for (const Dependency& d : kDependencies) {
      if (set.has(d.feature) && !set.has(d.needs)) {
        set.remove(d.feature);
        changed = true;
      }
    }
  }
}

std::string_view canonical_name(std::string_view name) {
  for (const Alias& alias : kAliases) {
    if (alias.alias == name) return alias.name;
  }
  return name;
}

const FeatureName* find_feature(std::string_view name) {
  name = canonical_name(name);
  for (const FeatureName& entry : kFeatureNames) {
    if (!name.empty() && entry.name == name) return &entry;
  }
  return nullptr;
}

std::optional<u32> parse_number(std::string_view digits) {
  int base = 10;
  if (digits.starts_with("0x")) {
    digits.remove_prefix(2);
    base = 16;
  }
  u32 number = 0;
  const auto [end, status] =
      std::from_chars(digits.data(), digits.data() + digits.size(), number, base);
  if (status != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
  return number;
}

Result<void> apply_feature(CpuModel& model, const FeatureSet& host, std::string_view name,
                           bool on) {
  const FeatureName* entry = find_feature(name);
  if (entry == nullptr) {
    return error("unknown CPU feature '{}' in -cpu; features are named as in /proc/cpuinfo", name);
  }
  if (!on) {
    model.features.remove(entry->feature);
    return {};
  }
  if (!host.has(entry->feature)) {
    return error(
        "CPU feature '{}' cannot be offered: this host's processor does not have it; "
        "leave it out of -cpu",
        name);
  }
  model.features.add(entry->feature);
  for (const Dependency& d : kDependencies) {
    if (d.feature == entry->feature && !model.features.has(d.needs)) {
      if (auto result = apply_feature(
              model, host, std::string_view(kFeatureNames[static_cast<std::size_t>(d.needs)].name),
              true);
          !result) {
        return result;
      }
    }
  }
  return {};
}

}  // namespace

u32 CpuModel::signature() const {
  const unsigned base_family = std::min(family, 15u);
  const unsigned extended_family = family - base_family;
  return stepping | (model & 15) << 4 | base_family << 8 | (model >> 4) << 16 |
         extended_family << 20;
}

u64 CpuModel::xcr0_mask() const {
  if (!features.has(Feature::kXsave)) return 1;
  return 1 | (features.has(Feature::kSse) ? 2 : 0) | (features.has(Feature::kAvx) ? 4 : 0) |
         (features.has(Feature::kPku) ? 0x200 : 0);
}

std::vector<std::string> cpu_model_names() {
  std::vector<std::string> names;
  for (const Template& t : kTemplates) names.emplace_back(t.name);
  return names;
}

Result<CpuModel> parse_cpu_model(std::string_view text) {
  const std::size_t comma = text.find(',');
  std::string_view name = text.substr(0, comma);
  std::string_view rest = comma == std::string_view::npos ? "" : text.substr(comma + 1);
  if (name.empty()) name = "max";
  // Names of QEMU that mean one of ours.
  const std::string given(name);
  if (name == "host" || name == "max") name = "max";
  if (name == "qemu32") name = "pentium3";
  if (name == "x86-64" || name == "x86-64-v1") name = "qemu64";

  const auto* found = std::find_if(std::begin(kTemplates), std::end(kTemplates),
                                   [&](const Template& t) { return t.name == name; });
  if (found == std::end(kTemplates)) {
    std::string known;
    for (const std::string& n : cpu_model_names()) known += (known.empty() ? "" : ", ") + n;
    return error("unknown CPU model '{}' in -cpu; known are {}", given, known);
  }
  CpuModel model;
  model.name = given;
  model.vendor = found->vendor;
  model.brand = found->brand;
  model.family = found->family;
  model.model = found->model;
  model.stepping = found->stepping;
  model.max_basic_leaf = found->max_basic_leaf;
  model.max_extended_leaf = found->max_extended_leaf;
  model.physical_bits = found->physical_bits;
  for (const EarlyModel& early : kEarlyModels) {
    if (early.name != name) continue;
    model.has_cpuid = false;
    model.quirks = early.quirks;
    model.flags_implemented = early.flags_implemented;
    model.flags_real_mode = early.flags_real_mode;
    model.flags_fixed = early.flags_fixed;
  }
  const FeatureSet host = host_features();
  const FeatureSet wanted = template_features(name);
  for (const FeatureName& entry : kFeatureNames) {
    if (wanted.has(entry.feature) && host.has(entry.feature)) model.features.add(entry.feature);
  }

  while (!rest.empty()) {
    const std::size_t end = rest.find(',');
    std::string_view item = rest.substr(0, end);
    rest = end == std::string_view::npos ? "" : rest.substr(end + 1);
    if (item.empty()) continue;
    if (item[0] == '+' || item[0] == '-') {
      if (auto r = apply_feature(model, host, item.substr(1), item[0] == '+'); !r) return r.error();
      continue;
    }
    const std::size_t equals = item.find('=');
    const std::string_view key = item.substr(0, equals);
    const std::string_view value =
        equals == std::string_view::npos ? "on" : item.substr(equals + 1);
    if (key == "level" || key == "xlevel") {
      const auto level = parse_number(value);
      if (!level) {
        return error("'{}' in -cpu is not a number: give a CPUID leaf such as level=2", item);
      }
      (key == "level" ? model.max_basic_leaf : model.max_extended_leaf) = *level;
    } else if (key == "phys-bits") {
      const auto bits = parse_number(value);
      if (!bits || *bits < 32 || *bits > 52) {
        return error("'{}' in -cpu: a physical address has 32 to 52 bits", item);
      }
      model.physical_bits = *bits;
    } else if (key == "vendor") {
      if (value.size() != 12) {
        return error("'{}' in -cpu: a vendor has 12 characters, such as GenuineIntel", item);
      }
      model.vendor = value;
    } else if (value == "on" || value == "off") {
      if (auto r = apply_feature(model, host, key, value == "on"); !r) return r.error();
    } else {
      return error(
          "'{}' in -cpu is not understood; use +feature, -feature, feature=on|off, level=N, "
          "phys-bits=N or vendor=NAME",
          item);
    }
  }
  drop_dependents(model.features);
  return model;
}

}  // namespace dragoman
