//! Room `store`: a context comes from no default and is not read from a message.

use misy_core::Ctx;

fn default() -> Ctx {
    Ctx::default() //~ E0599
}

fn read(text: &str) -> Ctx {
    Ctx::deserialize(text) //~ E0599
}

fn change(ctx: &mut Ctx, other: &Ctx) {
    ctx.tenant = other.tenant(); //~ E0616
}

fn main() {}
