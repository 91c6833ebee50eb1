#include "federation/address-filter.h"

#include <string.h>

struct _CmAddressFilter {
  GPtrArray *allowed; /* of GInetAddressMask */
  GPtrArray *refused;
};

/* IANA's special-purpose address registries: whatever is not globally reachable unicast. */
static const char *const special_ranges[] = {
  "0.0.0.0/8",       /* this host, this network */
  "10.0.0.0/8",      /* private */
  "100.64.0.0/10",   /* shared by carriers */
  "127.0.0.0/8",     /* loopback */
  "169.254.0.0/16",  /* link-local, cloud metadata */
  "172.16.0.0/12",   /* private */
  "192.0.0.0/24",    /* protocol assignments */
  "192.0.2.0/24",    /* documentation */
  "192.88.99.0/24",  /* 6to4 relays */
  "192.168.0.0/16",  /* private */
  "198.18.0.0/15",   /* benchmarks */
  "198.51.100.0/24", /* documentation */
  "203.0.113.0/24",  /* documentation */
  "224.0.0.0/4",     /* multicast */
  "240.0.0.0/4",     /* reserved, broadcast */
  "::/96",           /* unspecified, loopback, IPv4-compatible */
  "64:ff9b:1::/48",  /* local NAT64: where it leads only the translator knows */
  "100::/64",        /* discard */
  "2001:2::/48",     /* benchmarks */
  "2001:10::/28",    /* ORCHID */
  "2001:20::/28",    /* ORCHIDv2 */
  "2001:db8::/32",   /* documentation */
  "3fff::/20",       /* documentation */
  "5f00::/16",       /* segment routing */
  "fc00::/7",        /* unique local */
  "fe80::/10",       /* link-local */
  "fec0::/10",       /* site-local */
  "ff00::/8",        /* multicast */
};

/* IPv6 addresses that carry an IPv4 one. */
static const struct {
  guint8 prefix[12];
  gsize prefix_bytes;
  gsize offset;    /* of the IPv4 address */
  guint8 inverted; /* what it is combined with by exclusive or */
} embeddings[] = {
  { { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff }, 12, 12, 0x00 }, /* mapped, RFC 4291 */
  { { 0, 0x64, 0xff, 0x9b }, 12, 12, 0x00 },                      /* NAT64, RFC 6052 */
  { { 0x20, 0x02 }, 2, 2, 0x00 },                                 /* 6to4, RFC 3056 */
  { { 0x20, 0x01, 0, 0 }, 4, 12, 0xff },                          /* Teredo's client, RFC 4380 */
  { { 0x20, 0x01, 0, 0 }, 4, 4, 0x00 },                           /* Teredo's server */
};

static GPtrArray *
parse_ranges (const char *const *ranges, gsize count, GError **error)
{
  g_autoptr (GPtrArray) masks = g_ptr_array_new_with_free_func (g_object_unref);

  for (gsize i = 0; i < count; i++) {
    GInetAddressMask *mask = g_inet_address_mask_new_from_string (ranges[i], NULL);

    if (mask == NULL) {
      g_set_error (error, CM_ERROR, CM_ERROR_CONFIG, "'%s' is no address range", ranges[i]);
      return NULL;
    }
    g_ptr_array_add (masks, mask);
  }
  return g_steal_pointer (&masks);
}

static gboolean
any_matches (GPtrArray *masks, GInetAddress *address)
{
  for (guint i = 0; i < masks->len; i++)
    if (g_inet_address_mask_matches (masks->pdata[i], address))
      return TRUE;
  return FALSE;
}

static GInetAddress *
embedded_address (GInetAddress *address, gsize row)
{
  const guint8 *bytes = g_inet_address_to_bytes (address);
  guint8 inner[4];

  if (g_inet_address_get_family (address) != G_SOCKET_FAMILY_IPV6 ||
      memcmp (bytes, embeddings[row].prefix, embeddings[row].prefix_bytes) != 0)
    return NULL;
  for (gsize i = 0; i < sizeof inner; i++)
    inner[i] = bytes[embeddings[row].offset + i] ^ embeddings[row].inverted;
  return g_inet_address_new_from_bytes (inner, G_SOCKET_FAMILY_IPV4);
}

CmAddressFilter *
cm_address_filter_new (const char *const *allow, GError **error)
{
  g_autoptr (CmAddressFilter) filter = g_new0 (CmAddressFilter, 1);
  gsize count = allow != NULL ? g_strv_length ((char **) allow) : 0;

  filter->refused = parse_ranges (special_ranges, G_N_ELEMENTS (special_ranges), error);
  if (filter->refused == NULL)
    return NULL;
  filter->allowed = parse_ranges (allow, count, error);
  if (filter->allowed == NULL)
    return NULL;
  return g_steal_pointer (&filter);
}

void
cm_address_filter_free (CmAddressFilter *filter)
{
  g_clear_pointer (&filter->refused, g_ptr_array_unref);
  g_clear_pointer (&filter->allowed, g_ptr_array_unref);
  g_free (filter);
}

gboolean
cm_address_filter_allows (const CmAddressFilter *filter, GInetAddress *address)
{
  if (any_matches (filter->allowed, address))
    return TRUE;
  if (any_matches (filter->refused, address))
    return FALSE;
  for (gsize row = 0; row < G_N_ELEMENTS (embeddings); row++) {
    g_autoptr (GInetAddress) inner = embedded_address (address, row);

    if (inner != NULL && !cm_address_filter_allows (filter, inner))
      return FALSE;
  }
  return TRUE;
}
