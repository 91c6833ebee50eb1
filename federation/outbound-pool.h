/* Pools of connections: a SoupSession for each. All connections of a pool lead to the same named
 * server, so that one whose certificate was checked for one name never serves another's request. Of
 * one thread only. */
#pragma once

#include <libsoup/soup.h>

G_BEGIN_DECLS

typedef struct _CmOutboundPools CmOutboundPools;
typedef struct _CmOutboundPool CmOutboundPool;

/* @database: (nullable) who vouches for certificates; NULL: the system's authorities. */
CmOutboundPools *cm_outbound_pools_new (GTlsDatabase *database);
/* Closes all connections. */
void cm_outbound_pools_free (CmOutboundPools *pools);

/* The pool of that name; it stays as long as somebody is in it. */
CmOutboundPool *cm_outbound_pools_enter (CmOutboundPools *pools, const char *name);
void cm_outbound_pool_leave (CmOutboundPool *pool);
SoupSession *cm_outbound_pool_session (CmOutboundPool *pool);
/* Drops the pools that were not used for a while. */
void cm_outbound_pools_sweep (CmOutboundPools *pools);

G_END_DECLS
