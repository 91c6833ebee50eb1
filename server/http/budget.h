/* What the server holds of large things at a time, of all clients together and of one address: so
 * that neither memory nor, with a few slow clients, everybody else's turn can be taken. */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef struct _CmBudget CmBudget;

/* Bytes. */
CmBudget *cm_budget_new (gsize total, gsize for_one);
CmBudget *cm_budget_ref (CmBudget *budget);
void cm_budget_unref (CmBudget *budget);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CmBudget, cm_budget_unref)

/* From any thread. FALSE, and nothing is taken, when it would be too much. */
gboolean cm_budget_take (CmBudget *budget, const char *address, gsize bytes);
/* What was taken before. */
void cm_budget_return (CmBudget *budget, const char *address, gsize bytes);

/* What one thing has taken of a budget, to be given back as a whole; all zero when that is nothing.
 * It may outlive whoever made the budget. */
typedef struct {
  CmBudget *budget;
  char *address;
  gsize bytes;
} CmCharge;

/* Takes more, always of the same budget for the same address. As cm_budget_take. */
gboolean cm_charge_take (CmCharge *charge, CmBudget *budget, const char *address, gsize bytes);
void cm_charge_return (CmCharge *charge);

G_END_DECLS
