#include "server/http/percent.h"

gssize
cm_percent_decode (const char *text, gsize length, gboolean plus, char *out)
{
  gsize written = 0;

  for (gsize i = 0; i < length; i++) {
    char c = text[i];

    if (c == '%') {
      if (length - i < 3 || !g_ascii_isxdigit (text[i + 1]) || !g_ascii_isxdigit (text[i + 2]))
        return -1;
      c = (char) (g_ascii_xdigit_value (text[i + 1]) << 4 | g_ascii_xdigit_value (text[i + 2]));
      i += 2;
    } else if (c == '+' && plus) {
      c = ' ';
    }
    out[written++] = c;
  }
  out[written] = '\0';
  /* With an explicit length NUL counts as invalid here. */
  return g_utf8_validate (out, (gssize) written, NULL) ? (gssize) written : -1;
}
