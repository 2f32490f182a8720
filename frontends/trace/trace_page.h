// The page for a browser: the files of page/ and the data in one HTML file that needs nothing else.
#pragma once

#include <string>

#include "base/result.h"
#include "frontends/trace/trace_document.h"

namespace dragoman {

/// `document` is compressed into the page.
Result<std::string> trace_page(const TraceDocument& document);

}  // namespace dragoman
