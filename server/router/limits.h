/* Rate limits: a token bucket for each pair of a class and a key, and one more class that counts
 * failures (wrong passwords). The memory is fixed: a set-associative table in which the least
 * indebted bucket makes room, so that inventing keys gains little. */
#pragma once

#include "server/router/route.h"

G_BEGIN_DECLS

typedef struct _CmLimits CmLimits;

/* So many a second in the long run (0: no limit), so many at once. */
typedef struct {
  double per_second;
  guint burst;
} CmRate;

/* With @enabled FALSE nothing is ever limited. @rates is copied. */
CmLimits *cm_limits_new (gboolean enabled, const CmRate rates[CM_LIMIT_LAST]);
void cm_limits_free (CmLimits *limits);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CmLimits, cm_limits_free)

/**
 * cm_limits_take: take one token of @key (a user id, an origin, or what cm_limits_address_key
 * made). Returns: 0, or the milliseconds after which to try again; nothing is taken then. @limits
 * may be NULL.
 */
gint64 cm_limits_take (CmLimits *limits, CmLimitClass class, const char *key);

/* For what shows its price afterwards: 0, or the milliseconds for which @key has to wait, and
 * nothing is taken; then @tokens are, on credit if need be. */
gint64 cm_limits_look (CmLimits *limits, CmLimitClass class, const char *key);
void cm_limits_charge (CmLimits *limits, CmLimitClass class, const char *key, guint tokens);

/* Counts a failure of @key. The key should name both the account (normalised) and the address, and
 * in a second call the address alone: so that guessing ends without locking the owner out. */
void cm_limits_penalise (CmLimits *limits, const char *key);
/* 0, or the milliseconds for which @key has failed too often to try again. */
gint64 cm_limits_penalty (CmLimits *limits, const char *key);

/* The part of an address that one client holds: all of IPv4, 64 bits of IPv6. */
char *cm_limits_address_key (const char *address);

G_END_DECLS
