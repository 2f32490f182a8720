// A fixed amount of OpenSSL's work: `openssl speed` works for a fixed time instead. Linked with the
// libcrypto.so.3 of the guest, whose headers are not needed.
//
//   crypto aes MEGABYTES
//   crypto rsa SIGNATURES KEY.pem
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern void* EVP_CIPHER_CTX_new(void);
extern const void* EVP_aes_128_cbc(void);
extern const void* EVP_aes_128_ctr(void);
extern int EVP_CipherInit_ex(void*, const void*, void*, const unsigned char* key,
                             const unsigned char* vector, int encrypt);
extern int EVP_CIPHER_CTX_set_padding(void*, int);
extern int EVP_CipherUpdate(void*, unsigned char* out, int* written, const unsigned char* in, int);
extern void* BIO_new_file(const char*, const char*);
extern void* PEM_read_bio_PrivateKey(void*, void**, void*, void*);
extern void* EVP_PKEY_CTX_new(void*, void*);
extern int EVP_PKEY_sign_init(void*);
extern int EVP_PKEY_sign(void*, unsigned char*, size_t*, const unsigned char*, size_t);

static void require(int done, const char* what) {
  if (done) return;
  fprintf(stderr, "crypto: %s failed\n", what);
  exit(1);
}

enum { kBlock = 16384 };
static unsigned char block[kBlock];

static void print_hash(const char* name, const unsigned char* bytes, size_t size) {
  unsigned long long hash = 14695981039346656037ull;  // FNV-1a
  for (size_t i = 0; i < size; ++i) hash = (hash ^ bytes[i]) * 1099511628211ull;
  printf("%s %016llx\n", name, hash);
}

// Every block is encrypted by CBC, decrypted by CBC with another key, and encrypted by CTR.
static void aes(long megabytes) {
  static const unsigned char keys[3][16] = {"first key 123456", "another key 7890",
                                            "the third key ab"};
  static const unsigned char vector[16] = "initial vector!";
  const void* ciphers[3] = {EVP_aes_128_cbc(), EVP_aes_128_cbc(), EVP_aes_128_ctr()};
  void* contexts[3];
  for (int i = 0; i < 3; ++i) {
    contexts[i] = EVP_CIPHER_CTX_new();
    require(EVP_CipherInit_ex(contexts[i], ciphers[i], NULL, keys[i], vector, i != 1) == 1,
            "EVP_CipherInit_ex");
    EVP_CIPHER_CTX_set_padding(contexts[i], 0);
  }
  static unsigned char middle[kBlock + 32];
  for (long left = megabytes * ((1 << 20) / kBlock); left > 0; --left) {
    for (int i = 0; i < 3; ++i) {
      int written;
      require(EVP_CipherUpdate(contexts[i], middle, &written, block, kBlock) == 1,
              "EVP_CipherUpdate");
      require(written == kBlock, "EVP_CipherUpdate (length)");
      memcpy(block, middle, kBlock);
    }
  }
  print_hash("aes", block, sizeof block);
}

static void rsa(long signatures, const char* file) {
  void* source = BIO_new_file(file, "r");
  require(source != NULL, file);
  void* key = PEM_read_bio_PrivateKey(source, NULL, NULL, NULL);
  require(key != NULL, "PEM_read_bio_PrivateKey");
  void* context = EVP_PKEY_CTX_new(key, NULL);
  require(context != NULL && EVP_PKEY_sign_init(context) == 1, "EVP_PKEY_sign_init");
  unsigned char message[32] = {0};
  static unsigned char signature[1024];
  for (long i = 0; i < signatures; ++i) {
    size_t size = sizeof signature;
    require(EVP_PKEY_sign(context, signature, &size, message, sizeof message) == 1,
            "EVP_PKEY_sign");
    memcpy(message, signature, sizeof message);
  }
  print_hash("rsa", message, sizeof message);
}

int main(int argc, char** argv) {
  if (argc == 3 && strcmp(argv[1], "aes") == 0) {
    aes(atol(argv[2]));
  } else if (argc == 4 && strcmp(argv[1], "rsa") == 0) {
    rsa(atol(argv[2]), argv[3]);
  } else {
    fprintf(stderr, "usage: crypto aes MEGABYTES, or crypto rsa SIGNATURES KEY\n");
    return 2;
  }
  return 0;
}
