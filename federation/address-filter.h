/* Which addresses this node may connect to on somebody else's word: public unicast ones, and those
 * the administrator allows. An IPv4 address inside an IPv6 one (mapped, 6to4, Teredo, NAT64) is
 * judged as the IPv4 address that it leads to. */
#pragma once

#include "crypto/error.h"

#include <gio/gio.h>

G_BEGIN_DECLS

typedef struct _CmAddressFilter CmAddressFilter;

/* @allow: (nullable) strv of CIDR ranges that are exempt. CM_ERROR_CONFIG when one of them is no
 * range. */
CmAddressFilter *cm_address_filter_new (const char *const *allow, GError **error);
void cm_address_filter_free (CmAddressFilter *filter);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CmAddressFilter, cm_address_filter_free)

gboolean cm_address_filter_allows (const CmAddressFilter *filter, GInetAddress *address);

G_END_DECLS
