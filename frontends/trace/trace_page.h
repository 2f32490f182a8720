// The page for a browser: the files of page/ and the data in one HTML file that needs nothing else.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace dragoman {

/// `document` is the JSON text; it is compressed into the page.
Result<std::string> trace_page(std::string_view document);

}  // namespace dragoman
