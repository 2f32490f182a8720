#pragma once
#define DRAGOMAN_VERSION "0.1.0"
