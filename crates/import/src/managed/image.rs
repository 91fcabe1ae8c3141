//! The images of a pool of Managed DevOps Pools.

use super::shape::Profile;
use crate::{
    ImportError,
    elastic::listed,
    manifest::{Map, Node},
    read::Field,
};

/// Of an AgentPool.
const MOST_IMAGES: usize = 16;
/// Of an image.
const MOST_ALIASES: usize = 8;
/// Of a name or alias.
const LONGEST: usize = 128;

/// An image, which one binding serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Image {
    pub(crate) name: String,
    aliases: Vec<String>,
    /// Aliases for which there is no room.
    beyond: Vec<String>,
    /// None for equal shares.
    percent: Option<u32>,
    pub(crate) operating_system: &'static str,
    /// What the scale set has to have, in words.
    pub(crate) belongs: Option<String>,
    /// Of all images, where they make no whole.
    shares: Option<String>,
}

impl Image {
    pub(crate) fn map(&self) -> Map {
        let map = Map::new().text("name", &self.name);
        let aliases = (!self.aliases.is_empty()).then(|| Node::Texts(self.aliases.clone()));
        let percent = self.percent.map_or_else(|| Node::Text("*".to_owned()), Node::Number);
        map.maybe("aliases", aliases).field("standbyPercent", percent)
    }
}

pub(crate) fn comments(images: &[Image]) -> Vec<String> {
    let shares = images.first().and_then(|image| image.shares.clone());
    let beyond = images.iter().filter(|image| !image.beyond.is_empty()).map(|image| {
        format!(
            "{} has more aliases than the {MOST_ALIASES} that fit: {}",
            image.name,
            image.beyond.join(", ")
        )
    });
    shares.into_iter().chain(beyond).collect()
}

pub(crate) fn read(fabric: &Profile<'_>) -> Result<Vec<Image>, ImportError> {
    let list = fabric.member("images");
    let items = list.items()?;
    if items.is_empty() {
        return Err(list.missing("give at least one image"));
    }
    if items.len() > MOST_IMAGES {
        return Err(ImportError::TooMany { path: list.path(), count: items.len(), most: MOST_IMAGES });
    }
    let mut buffers = Vec::new();
    let mut images: Vec<Image> = Vec::new();
    for item in &items {
        let image = image(item)?;
        for name in image.names() {
            if images.iter().flat_map(Image::names).any(|taken| taken.eq_ignore_ascii_case(name)) {
                return Err(ImportError::ImageTwice { path: item.path(), name: name.to_owned() });
            }
        }
        buffers.push(buffer(&item.member("buffer"))?);
        images.push(image);
    }
    share(&mut images, &buffers);
    for (image, item) in images.iter_mut().zip(&items) {
        let words = listed(&item.rest(), &item.prefix());
        image.belongs = words.map(|words| format!("Belongs to the scale set of this image: {words}"));
        item.skip();
    }
    Ok(images)
}

/// All equal, or a whole of percentages; what is neither has no meaning to the API server.
fn share(images: &mut [Image], buffers: &[Option<u32>]) {
    let percents: Vec<u32> = buffers.iter().copied().flatten().collect();
    let whole = percents.len() == buffers.len() && percents.iter().sum::<u32>() == 100;
    if whole {
        for (image, buffer) in images.iter_mut().zip(buffers) {
            image.percent = *buffer;
        }
    } else if !percents.is_empty() {
        let words: Vec<String> =
            buffers.iter().map(|buffer| buffer.map_or_else(|| "*".to_owned(), |n| n.to_string())).collect();
        let words =
            format!("The shares {} do not add up to 100: every image has an equal one.", words.join(", "));
        for image in images {
            image.shares = Some(words.clone());
        }
    }
}

impl Image {
    fn names(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&self.name).chain(&self.aliases).chain(&self.beyond).map(String::as_str)
    }
}

fn image(item: &Field<'_>) -> Result<Image, ImportError> {
    item.members()?;
    let well_known = item.member("wellKnownImageName");
    // `windows-2022/latest` is the image windows-2022.
    let well_known = well_known.filled()?.and_then(|name| name.split('/').next());
    let resource = item.member("resourceId");
    let mut names: Vec<&str> = Vec::new();
    let mut aliases = Vec::new();
    for alias in item.member("aliases").items()? {
        let Some(text) = alias.filled()? else { continue };
        if text.chars().count() > LONGEST {
            return Err(alias.wrong(text, "at most 128 characters long"));
        }
        aliases.push(text);
    }
    // Only then is it read: else it is a template's matter, and the scale set's.
    let from_id = if aliases.is_empty() && well_known.is_none() { resource.filled()? } else { None };
    for name in aliases.into_iter().chain(well_known).chain(from_id.map(name_in)) {
        if !names.iter().any(|known| known.eq_ignore_ascii_case(name)) {
            names.push(name);
        }
    }
    let Some((name, aliases)) = names.split_first() else {
        return Err(resource.missing("give an alias, wellKnownImageName or resourceId"));
    };
    let windows = item.contains("windows");
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let (fit, beyond) = aliases.split_at(aliases.len().min(MOST_ALIASES));
    Ok(Image {
        name: (*name).to_owned(),
        aliases: owned(fit),
        beyond: owned(beyond),
        percent: None,
        operating_system: if windows { "Windows" } else { "Linux" },
        belongs: None,
        shares: None,
    })
}

/// The name of an image in its resource id: of its definition in a gallery, or its SKU in the marketplace.
fn name_in(id: &str) -> &str {
    let parts: Vec<&str> = id.split('/').filter(|part| !part.is_empty()).collect();
    // The last of its name: a resource group may be called images too.
    let after = |word: &str| {
        let mut pairs = parts.iter().zip(parts.iter().skip(1)).rev();
        pairs.find(|(part, _)| part.eq_ignore_ascii_case(word)).map(|(_, name)| *name)
    };
    after("images").or_else(|| after("skus")).or_else(|| parts.last().copied()).unwrap_or(id)
}

/// `*` and nothing are an equal share.
fn buffer(field: &Field<'_>) -> Result<Option<u32>, ImportError> {
    if field.is_number() {
        return field.whole(0, 100);
    }
    match field.filled()? {
        None | Some("*") => Ok(None),
        Some(text) => match text.parse() {
            Ok(percent) if (0..=100).contains(&percent) && !text.starts_with('+') => Ok(Some(percent)),
            Ok(_) | Err(_) => Err(field.wrong(text, "\"*\", or a whole number from 0 to 100")),
        },
    }
}
