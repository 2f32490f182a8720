// The page for a browser: the files of page/ and the data in one HTML file that needs nothing else.
#pragma once

#include <string>

#include <nlohmann/json.hpp>

#include "base/result.h"

namespace dragoman {

/// `document` is that of trace_document(); it is compressed into the page.
Result<std::string> trace_page(nlohmann::json document);

}  // namespace dragoman
