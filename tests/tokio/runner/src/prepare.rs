//! The build script's work: copies tokio's files without the parts that are not allowed in an
//! included file and the items that do not compile.
//!
//! Removed parts are overwritten with blanks, so that every line keeps its number and all other text
//! is unchanged.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::{env, fs};

use proc_macro2::{TokenStream, TokenTree};
use syn::spanned::Spanned;
use syn::{Attribute, ImplItem, Item};

use crate::Result;
use crate::list::{How, List, Tokio, included};

/// Writes every included file, and tokio's helpers, into the build script's output folder.
///
/// # Errors
///
/// When a file is missing, or the list names an item that is not in its file.
pub fn into_out_dir() -> Result<()> {
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?);
    println!("cargo::rerun-if-changed=tests");
    println!("cargo::rerun-if-changed=excluded.toml");
    println!("cargo::rerun-if-changed=Cargo.lock");
    let list = List::read()?;
    let tokio = Tokio::find()?;
    let from = tokio.folder.join("tests");
    copy_folder(&from.join("support"), &out.join("support"))?;
    for name in included()? {
        let text = fs::read_to_string(from.join(&name).with_extension("rs"))
            .map_err(|error| format!("tokio has no tests/{name}.rs: {error}"))?;
        let prepared = prepare(&name, &text, &list)?;
        fs::write(out.join(&name).with_extension("rs"), prepared)?;
    }
    Ok(())
}

fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let path = entry?.path();
        if let Some(name) = path.file_name() {
            fs::copy(&path, to.join(name))?;
        }
    }
    Ok(())
}

/// Returns the text of one file, with removed parts overwritten with blanks.
fn prepare(name: &str, text: &str, list: &List) -> Result<String> {
    let mut wanted = BTreeSet::new();
    if let Some(file) = list.file(name) {
        wanted.extend(file.blank.iter().map(String::as_str));
        for exclude in file.exclude.iter().filter(|it| it.how == How::Uncompiled) {
            wanted.extend(exclude.tests.iter().map(String::as_str));
        }
    }
    let parsed = syn::parse_file(text).map_err(|error| format!("{name}.rs: {error}"))?;
    let mut cut = Cut {
        wanted,
        found: BTreeSet::new(),
        ranges: Vec::new(),
        path: Vec::new(),
        in_macro: false,
    };
    cut.inner_attributes(&parsed.attrs);
    cut.items(&parsed.items);
    if let Some(missing) = cut.wanted.difference(&cut.found).next() {
        return Err(format!("excluded.toml: tokio's tests/{name}.rs has no `{missing}`").into());
    }
    let mut bytes = text.as_bytes().to_vec();
    for range in cut.ranges {
        for byte in &mut bytes[range] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
    }
    Ok(String::from_utf8(bytes)?)
}

/// Collects the parts to remove from a file.
struct Cut<'a> {
    /// Names of the items to remove.
    wanted: BTreeSet<&'a str>,
    /// Names in `wanted` that were found.
    found: BTreeSet<&'a str>,
    /// Byte ranges to overwrite.
    ranges: Vec<Range<usize>>,
    /// Modules around the current item.
    path: Vec<String>,
    /// Whether the current items are a macro's argument. The macro can put them into new modules.
    in_macro: bool,
}

impl<'a> Cut<'a> {
    /// Removes `#![...]` and `//!`, which are not allowed in an included file.
    fn inner_attributes(&mut self, attributes: &[Attribute]) {
        for attribute in attributes {
            if matches!(attribute.style, syn::AttrStyle::Inner(_)) {
                self.ranges.push(attribute.span().byte_range());
            }
        }
    }

    fn items(&mut self, items: &[Item]) {
        for item in items {
            if !name_of(item).is_empty() && self.is_wanted(&name_of(item)) {
                self.ranges.push(item.span().byte_range());
                continue;
            }
            match item {
                Item::Mod(module) => {
                    if let Some((_, items)) = &module.content {
                        self.path.push(module.ident.to_string());
                        self.items(items);
                        self.path.pop();
                    }
                }
                Item::Impl(block) => {
                    for item in &block.items {
                        if let ImplItem::Fn(method) = item
                            && self.is_wanted(&method.sig.ident.to_string())
                        {
                            self.ranges.push(method.span().byte_range());
                        }
                    }
                }
                Item::Macro(call) if call.ident.is_none() => {
                    self.in_macro = true;
                    self.macro_call(&call.mac.tokens);
                    self.in_macro = false;
                }
                _ => {}
            }
        }
    }

    /// Handles macro calls. Some of tokio's macros take whole items, including tests, and repeat
    /// them for each scheduler.
    fn macro_call(&mut self, tokens: &TokenStream) {
        if let Ok(file) = syn::parse2::<syn::File>(tokens.clone()) {
            self.items(&file.items);
            return;
        }
        // Other macros take lines of the form `(name, "address"),`. A wanted line is removed
        // together with its comma.
        let trees: Vec<_> = tokens.clone().into_iter().collect();
        for (at, tree) in trees.iter().enumerate() {
            let TokenTree::Group(group) = tree else {
                continue;
            };
            let Some(TokenTree::Ident(first)) = group.stream().into_iter().next() else {
                continue;
            };
            if self.is_wanted(&first.to_string()) {
                let mut range = group.span().byte_range();
                if let Some(TokenTree::Punct(comma)) = trees.get(at + 1) {
                    range.end = comma.span().byte_range().end;
                }
                self.ranges.push(range);
            }
        }
    }

    fn is_wanted(&mut self, name: &str) -> bool {
        let mut path = self.path.join("::");
        if !path.is_empty() {
            path += "::";
        }
        path += name;
        let matching: Vec<_> = self
            .wanted
            .iter()
            .filter(|wanted| match wanted.strip_suffix(path.as_str()) {
                Some("") => true,
                Some(modules) => self.in_macro && modules.ends_with("::"),
                None => false,
            })
            .copied()
            .collect();
        self.found.extend(&matching);
        !matching.is_empty()
    }
}

/// Returns the name of an item in the list.
fn name_of(item: &Item) -> String {
    match item {
        Item::Fn(function) => function.sig.ident.to_string(),
        Item::Mod(module) => module.ident.to_string(),
        Item::Struct(it) => it.ident.to_string(),
        Item::Type(it) => it.ident.to_string(),
        Item::Const(it) => it.ident.to_string(),
        // Without blanks, because printing a token stream inserts blanks between its parts.
        Item::Use(it) => format!("use {}", without_blanks(&it.tree)),
        Item::Impl(it) => match &it.trait_ {
            Some((_, path, _)) => {
                format!(
                    "impl {} for {}",
                    without_blanks(path),
                    without_blanks(&it.self_ty)
                )
            }
            None => format!("impl {}", without_blanks(&it.self_ty)),
        },
        Item::Macro(it) => it.mac.tokens.to_string(),
        _ => String::new(),
    }
}

fn without_blanks(tokens: &impl quote::ToTokens) -> String {
    let text = tokens.to_token_stream().to_string();
    text.split_whitespace().collect()
}
